"""ssh: commands on other hosts, by the user's own ssh with its settings, keys and agent.

Everything secret or large goes through stdin, to the supervisor; the command line holds only folder, interpreter and
module. `BatchMode` keeps ssh from asking: nobody could answer.
"""

from __future__ import annotations

import ipaddress
import shlex
import socket
from collections.abc import Sequence

SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
_ALIVE = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2")

FAILED = 255
"""What ssh returns when the connection, and not the command, has failed."""


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
        return False  # a name that only ssh knows, or nobody
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
    words = shlex.join(["env", f"PYTHONPATH={pythonpath}", *command] if pythonpath else command)
    there = f"cd {shlex.quote(workdir)} && exec {words}" if workdir else f"exec {words}"
    return [*SSH, *_ALIVE, *options, host, there]
