"""Hosts without a cluster file: `-n 4`, `-H h1:2,h2:2`, `--hostfile FILE`, as other launchers know them."""

from __future__ import annotations

import re
from pathlib import Path

from distrib.base.errors import ConfigError
from distrib.cluster.config import ClusterConfig
from distrib.cluster.host_port import parse_address
from distrib.cluster.spec import ClusterSpec

_MOST_SLOTS = 10_000
_SLOTS = re.compile(r"slots\s*=\s*(\d+)")


def hosts_of_flag(text: str) -> list[str]:
    """The host of each process, in order.

    Args:
        text: such as `h1:2,h2`; a host without a number has one process.

    Raises:
        ConfigError: a host or a number is invalid.
    """
    hosts: list[str] = []
    for part in text.split(","):
        host, colon, slots = part.rpartition(":") if not part.endswith("]") else (part, "", "")
        hosts += _repeated(host if colon else part, slots if colon else "1", "-H")
    return hosts


def hosts_of_file(path: Path) -> list[str]:
    """The host of each process, in order.

    Args:
        path: of a file with lines like `h1 slots=2`; `#` begins a comment.

    Raises:
        ConfigError: it cannot be read, or a line is invalid.
    """
    try:
        text = path.read_text()
    except (OSError, ValueError) as error:
        raise ConfigError(f"--hostfile: cannot be read: {error}") from None
    hosts: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        host, _, rest = line.partition("#")[0].strip().partition(" ")
        match = _SLOTS.fullmatch(rest.strip() or "slots=1")
        if match is None:
            raise ConfigError(
                f"--hostfile: line {number}: expected HOST or HOST slots=N. Received: {line!r}."
            )
        hosts += _repeated(host, match[1], f"--hostfile: line {number}") if host else []
    if not hosts:
        raise ConfigError(f"--hostfile: expected at least one host in {path}. Received: none.")
    return hosts


def config_of_hosts(hosts: list[str], processes: int | None) -> ClusterConfig:
    """A cluster of a chief and workers that train by MPI.

    Args:
        hosts: of each process; empty for this one.
        processes: how many; None for one on each of `hosts`.

    Raises:
        ConfigError: the hosts have fewer slots.
    """
    if not hosts:
        hosts = ["localhost"] * (processes or 1)
    if processes is not None and processes > len(hosts):
        raise ConfigError(
            f"-n: expected at most the {len(hosts)} processes that the hosts have. Received: {processes}."
        )
    chief, *workers = [f"{host}:0" for host in hosts[:processes]]
    return ClusterConfig(ClusterSpec({"chief": [chief], **({"worker": workers} if workers else {})}))


def _repeated(host: str, slots: str, flag: str) -> list[str]:
    if not slots.isdigit() or not 0 < int(slots) <= _MOST_SLOTS:
        raise ConfigError(
            f"{flag}: expected HOST:N with N from 1 to {_MOST_SLOTS}. Received: {host}:{slots}."
        )
    parse_address(f"{host}:0", flag)
    return [host] * int(slots)
