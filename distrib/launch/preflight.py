"""Checks that every other host can be reached and has the same distrib, before anything is started."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from distrib.base.errors import ConfigError, DistribError, ProtocolError
from distrib.launch.backends import ssh
from distrib.version import __version__

_TIMEOUT_S = 30.0
_AT_ONCE = 16


class UnreachableError(DistribError):
    """A host cannot be reached."""

    exit_code = 69


def check_hosts(
    hosts: Iterable[str], python: str, workdir: str, pythonpath: str, ssh_options: Iterable[str]
) -> None:
    """Ask all hosts at once.

    Args:
        hosts: names and addresses.
        python: the interpreter there.
        workdir: the folder there.
        pythonpath: where Python finds modules there; empty for its own places only.
        ssh_options: further arguments of ssh.

    Raises:
        UnreachableError: ssh does not get there.
        ConfigError: there is no such folder, interpreter, or distrib.
        ProtocolError: it has another version.
    """
    program = [python, "-c", "from distrib.version import __version__; print(__version__)"]
    options = tuple(ssh_options)

    def ask(host: str) -> None:
        _judge(host, ssh.remote(host, program, workdir, pythonpath, options))

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        list(threads.map(ask, hosts))


def _judge(host: str, command: list[str]) -> None:
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnreachableError(f"{host} cannot be reached by ssh: {error}") from None
    message = ended.stderr.strip()
    if ended.returncode == ssh.FAILED:
        raise UnreachableError(f"{host} cannot be reached by ssh: {message}")
    if ended.returncode:
        raise ConfigError(f"{host}: expected a Python with distrib there. Received: {message}")
    version = ended.stdout.strip()
    if version != __version__:
        raise ProtocolError(f"{host}: expected distrib {__version__}, as here. Received: {version}.")
