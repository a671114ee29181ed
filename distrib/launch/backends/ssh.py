"""ssh: commands on other hosts, by the user's own ssh with its settings, keys and agent.

Everything secret or large goes through stdin, to the supervisor; the command line holds only folder, interpreter and
module. `BatchMode` keeps ssh from asking, since there is no one to answer. Otherwise the user's settings
take precedence. Those of this module, which detect a lost host quickly, apply only where neither the cluster file nor
~/.ssh/config sets a value (`ssh -G` shows it).
"""

from __future__ import annotations

import functools
import ipaddress
import shlex
import socket
import subprocess
from collections.abc import Iterable, Sequence

_BATCH = ("-o", "BatchMode=yes")
_UNSAID = {
    "connecttimeout": ("none", ("ConnectTimeout=10",)),
    "serveraliveinterval": ("0", ("ServerAliveInterval=1", "ServerAliveCountMax=2")),
}
"""Defaults of `ssh -G`, and our values for them."""

FAILED = 255
"""Exit code of ssh when the connection, and not the command, has failed."""


def is_here(host: str) -> bool:
    """Whether a host is this one, so that no ssh is needed.

    Args:
        host: name or address.
    """
    if host in ("localhost", socket.gethostname()):
        return True
    try:
        addresses = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False  # a name that only ssh knows, or that does not exist
    return any(_is_own(str(address)) for address in addresses)


def _is_own(address: str) -> bool:
    if ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))  # only own addresses can be had
        except OSError:
            return False
    return True


def remote(
    host: str, command: Sequence[str], workdir: str, pythonpath: str, options: Sequence[str]
) -> list[str]:
    """The command line that runs a command on another host.

    Args:
        host: name or address.
        command: program and arguments.
        workdir: folder there; empty for the user's home.
        pythonpath: where Python finds modules there; empty for its own places only.
        options: further arguments of ssh.
    """
    line = shlex.join(["env", f"PYTHONPATH={pythonpath}", *command] if pythonpath else command)
    there = f"cd {shlex.quote(workdir)} && exec {line}" if workdir else f"exec {line}"
    return [*program((host,), tuple(options)), host, there]


@functools.cache
def program(hosts: tuple[str, ...], options: tuple[str, ...], watches: bool = True) -> list[str]:
    """Ssh and its options: the user's, and ours where the user has said nothing about any of these hosts.

    Args:
        hosts: names and addresses.
        options: further arguments of ssh.
        watches: whether ssh is to find a lost host; mpirun does so itself, and says it better.
    """
    said = [_settings(host, options) for host in hosts]
    ours = [
        word
        for name, (unsaid, settings) in _UNSAID.items()
        if (watches or name == "connecttimeout") and all(each.get(name, unsaid) == unsaid for each in said)
        for setting in settings
        for word in ("-o", setting)
    ]
    return ["ssh", *options, *_BATCH, *ours]


def _settings(host: str, options: Iterable[str]) -> dict[str, str]:
    """The settings of ssh for a host; nothing is connected."""
    try:
        ended = subprocess.run(
            ["ssh", "-G", *options, host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return {name: value for name, _, value in (line.partition(" ") for line in ended.stdout.splitlines())}
