"""Requirements of a process that takes part in a job with parameter servers: packages and the token."""

from __future__ import annotations

import stat
from importlib.util import find_spec
from pathlib import Path

from distrib.base import environment
from distrib.base.errors import ConfigError

_PACKAGES = {
    "grpc": "grpcio",
    "google.protobuf": "protobuf",
    "grpc_health": "grpcio-health-checking",
    "grpc_reflection": "grpcio-reflection",
}


def require_grpc() -> None:
    """Raise `ConfigError` if a package is missing that parameter servers need."""
    for module, package in _PACKAGES.items():
        if find_spec(module) is None:
            raise ConfigError(
                f"Parameter servers need {package}, which is not installed. Run: pip install {package}."
            )


def run_token() -> str:
    """The token of the run, from the file that DISTRIB_TOKEN_FILE names; empty where it names none.

    Raises:
        ConfigError: the file cannot be read, is empty, or may be read by every user of the host.
    """
    file = environment.text(environment.TOKEN_FILE)
    if not file:
        return ""
    try:
        token, mode = Path(file).read_text().strip(), Path(file).stat().st_mode
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"DISTRIB_TOKEN_FILE cannot be read: {error}") from None
    if not token:
        raise ConfigError(
            f"DISTRIB_TOKEN_FILE names {file}. Expected the token of the run. Received: an empty file."
        )
    if mode & stat.S_IROTH:
        raise ConfigError(
            f"DISTRIB_TOKEN_FILE names {file}, which every user of this host may read. Run: chmod 600 {file}"
        )
    return token
