"""Credentials of a run: its token, and certificates where there are several hosts.

They are made here, and go to each task in files of mode 600 which its supervisor writes and removes. The authority's
own key is never written down: openssl gets files that exist in memory only, until the certificate is signed.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import subprocess
from collections.abc import Iterable, Mapping

from distrib.base.errors import ConfigError

_DAYS = "30"
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_TIMEOUT_S = 30.0


def new_token() -> str:
    """256 random bits, in hexadecimal."""
    return secrets.token_hex(32)


def new_certificates(hosts: Iterable[str]) -> Mapping[str, str]:
    """Certificate and key that are good on these hosts, and their authority: PEM by the variable that names the file.

    Args:
        hosts: names and addresses by which tasks reach each other.

    Raises:
        ConfigError: there is no openssl, or it fails.
    """
    names = ["DNS:localhost", "IP:127.0.0.1", *(f"{_kind(host)}:{host}" for host in sorted(set(hosts)))]
    with _Files("ca_key", "ca", "key", "request", "names", "certificate") as file:
        file.write("names", "subjectAltName=" + ",".join(dict.fromkeys(names)))
        days = ("-days", _DAYS)
        file.openssl(
            "req", "-x509", *_CURVE, "-keyout", "@ca_key", "-out", "@ca", *days, "-subj", "/CN=distrib run"
        )
        file.openssl("req", *_CURVE, "-keyout", "@key", "-out", "@request", "-subj", "/CN=distrib task")
        signed = ("-CA", "@ca", "-CAkey", "@ca_key", "-set_serial", str(secrets.randbits(64)), *days)
        file.openssl("x509", "-req", "-in", "@request", *signed, "-extfile", "@names", "-out", "@certificate")
        return {
            "DISTRIB_TLS_CERT": file.read("certificate"),
            "DISTRIB_TLS_KEY": file.read("key"),
            "DISTRIB_TLS_CA": file.read("ca"),
        }


class _Files:
    """Files in memory, which a child can open by their path."""

    def __init__(self, *names: str) -> None:
        self._fds = {name: os.memfd_create(name) for name in names}

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *exception: object) -> None:
        for fd in self._fds.values():
            os.close(fd)

    def write(self, name: str, text: str) -> None:
        os.pwrite(self._fds[name], text.encode(), 0)

    def read(self, name: str) -> str:
        return os.pread(self._fds[name], 1 << 16, 0).decode()

    def openssl(self, *arguments: str) -> None:
        """Run openssl; `@name` is a file."""
        command = [
            "openssl",
            *(f"/proc/self/fd/{self._fds[w[1:]]}" if w.startswith("@") else w for w in arguments),
        ]
        try:
            ended = subprocess.run(
                command,
                pass_fds=tuple(self._fds.values()),
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigError(
                f"TLS needs the program openssl ({error}). Install it, "
                "or, on a network that you trust, pass --insecure."
            ) from None
        if ended.returncode:
            raise ConfigError(
                f"openssl {arguments[0]} failed: {ended.stderr.decode(errors='replace').strip()}"
            )


def _kind(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "DNS"
    return "IP"
