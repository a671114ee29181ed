"""TLS between workers and parameter servers, with certificates of an authority for this run only.

Three files, which DISTRIB_TLS_CERT, DISTRIB_TLS_KEY and DISTRIB_TLS_CA name, in every process of the run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from distrib.base import environment
from distrib.base.errors import ConfigError
from distrib.ps.wire.grpc_options import CHANNEL

VARIABLES = tuple(each.name for each in (environment.TLS_CERT, environment.TLS_KEY, environment.TLS_CA))


ADVICE = (
    f"All processes of a run need its certificates ({', '.join(VARIABLES)}), which must not have expired, or none "
    "has any. What the ps has against a process stands in the log of the ps."
)
"""Advice for a handshake that fails."""

_HAS_FAILED = "SSL_ERROR_SSL"
TURNED_AWAY_S = 5.0
"""So long a ps may close every connection before it is said to be for want of certificates."""

_WAS_CLOSED = ("Socket closed", "Connection reset", "Broken pipe")


class Tls(NamedTuple):
    """PEM of this process's certificate and key, and of the authority that signs those of the others."""

    certificate: bytes
    key: bytes
    authority: bytes


def tls_from_environment(environ: Mapping[str, str] | None = None) -> Tls | None:
    """The TLS of the run; None where none is set.

    Args:
        environ: environment variables; `os.environ` by default.

    Raises:
        ConfigError: some of the three variables are missing, or a file cannot be read.
    """
    environ = os.environ if environ is None else environ
    files = [environ.get(name, "") for name in VARIABLES]
    if not any(files):
        return None
    missing = [name for name, file in zip(VARIABLES, files, strict=True) if not file]
    if missing:
        raise ConfigError(f"TLS expects {', '.join(VARIABLES)}. Not set: {', '.join(missing)}.")
    try:
        return Tls(*(Path(file).read_bytes() for file in files))
    except OSError as error:
        raise ConfigError(f"TLS: {error}") from None


class Handshakes:
    """Tells processes that do not trust each other from a ps that is absent, which look alike to gRPC."""

    def __init__(self) -> None:
        self._turned_away_since = 0.0

    def is_hopeless(self, message: str, has_met: bool, now: float) -> bool:
        """Whether another try would fail, too.

        Args:
            message: gRPC's, of a failed connection.
            has_met: whether there was a connection before.
            now: monotonic time, in seconds.
        """
        is_turned_away = message.startswith("failed to connect") and any(
            each in message for each in _WAS_CLOSED
        )
        self._turned_away_since = (self._turned_away_since or now) if is_turned_away and not has_met else 0.0
        is_long = bool(self._turned_away_since) and now - self._turned_away_since > TURNED_AWAY_S
        return _HAS_FAILED in message or is_long


def channel(address: str) -> Any:
    """A channel to a ps, with the TLS of the run if there is one."""
    tls = tls_from_environment()
    if tls is None:
        return grpc.insecure_channel(address, options=CHANNEL)
    credentials = grpc.ssl_channel_credentials(tls.authority, tls.key, tls.certificate)
    return grpc.secure_channel(address, credentials, options=CHANNEL)


def listen(server: Any, address: str) -> int:
    """Bind a server to an address, with the TLS of the run if there is one; returns the port."""
    tls = tls_from_environment()
    if tls is None:
        port = server.add_insecure_port(address)
    else:
        credentials = grpc.ssl_server_credentials(
            [(tls.key, tls.certificate)], tls.authority, require_client_auth=True
        )
        port = server.add_secure_port(address, credentials)
    return int(port)
