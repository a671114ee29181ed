"""An address of a task: `host:port`, with IPv6 in brackets. Hosts end up on command lines, so only names pass."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from distrib.cluster.fields import string, wrong

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_LONGEST_NAME = 253
_EXPECTED = '"host:port"'


class Address(NamedTuple):
    """Where a task listens.

    Attributes:
        host: a name, an IPv4 address, or an IPv6 address without brackets.
        port: 0 is a free one, which the launcher chooses.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(value: object, path: str = "address") -> Address:
    """The address that a text means.

    Args:
        value: such as `h1:2222` or `[::1]:2222`.
        path: the field that holds it, for errors.

    Raises:
        ConfigError: it is none.
    """
    text = string(value, path)
    if text != text.strip():
        raise wrong(path, _EXPECTED, text, "Remove the spaces.")
    if "://" in text:
        raise wrong(path, _EXPECTED, text, "Leave the protocol out.")
    if "@" in text:
        raise wrong(path, _EXPECTED, text, "Say the user in ~/.ssh/config.")
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise wrong(path, _EXPECTED, text, "Say host and port; port 0 is a free one.")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and str(int(port)) == port):
        raise wrong(path, f"{_EXPECTED} with a port from 0 to 65535", text)
    if int(port) > 65535:
        raise wrong(path, "a port from 0 to 65535", text)
    return Address(_host(host, text, path), int(port))


def _host(host: str, text: str, path: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        try:
            if "%" in host:
                raise ValueError(host)
            return ipaddress.IPv6Address(host[1:-1]).compressed
        except ValueError:
            raise wrong(path, "an IPv6 address in the brackets", text) from None
    if ":" in host:
        raise wrong(path, _EXPECTED, text, "An IPv6 address is written in brackets: [::1]:2222.")
    if re.fullmatch(r"[0-9.]+", host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise wrong(path, "an IPv4 address or a host name", text) from None
    if len(host) > _LONGEST_NAME or not _NAME.fullmatch(host):
        raise wrong(path, "a host name of letters, digits, dots, - and _", text)
    return host
