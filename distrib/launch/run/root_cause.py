"""Root cause: which of several failures came first, and which only followed from it. Values only.

A task that has lost a peer ends with 75 by itself: its failure is a consequence wherever another task has failed in
another way, whichever of the two was noticed first. Otherwise the first failure is the cause.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from distrib.base.errors import PeerLostError
from distrib.launch.task.exit_record import ExitRecord

_SAID_BY_WATCH = re.compile(
    r"distrib: (?:\S+ \S+ at step \d+ ends: )?(rank (\d+) \(([^,)]+), pid \d+\) at step .*)"
)

_SAID_BY_MPIRUN = re.compile(r"(?:Remote daemon: \[\S+\] on node|^ *Remote host:) +(\S+)")


@dataclass(frozen=True)
class Failure:
    """A task that has failed.

    Attributes:
        task: such as `worker 1`.
        host: where it ran.
        code: exit code that the launcher ends with if this is the cause.
        message: what happened.
        when: monotonic time.
        log: what it wrote.
        lines: the last of them, if they were not shown.
        was_killed: whether a signal ended it, or it is gone with its host.
    """

    task: str
    host: str
    code: int
    message: str
    when: float
    log: Path
    lines: tuple[str, ...]
    was_killed: bool = False

    @property
    def is_worth_a_restart(self) -> bool:
        """Whether the same run may go well if it is started again."""
        return self.code == PeerLostError.exit_code

    def report(self) -> str:
        """All about it, for people; its last lines first, as it is read from the end."""
        shown = "".join(f"    | {line}\n" for line in self.lines)
        return f"{shown}distrib: {self.task} on {self.host} {self.message.rstrip('.')}. Its log: {self.log}"


def root_cause(failures: Iterable[Failure]) -> Failure:
    """The failure that the others followed from; there must be one."""
    return min(failures, key=lambda each: (each.is_worth_a_restart and not each.was_killed, each.when))


def meaning_of_code(code: int, record: ExitRecord | None) -> tuple[str, int, bool]:
    """The meaning of an exit code: a message, the exit code for the launcher, and whether a signal ended the process.

    Args:
        code: of the process; 128 + n for signal n, as supervisors say it.
        record: the exit record of the task; None if it has written none.
    """
    if code == 0:
        return "ended with 0, but too early", PeerLostError.exit_code, False
    if code > 128 and code - 128 in set(signal.Signals):
        number = signal.Signals(code - 128)
        hint = ", possibly out of memory" if number is signal.SIGKILL else ""
        return f"was killed by signal {int(number)} ({number.name}{hint})", PeerLostError.exit_code, True
    what = f": {record.what}" if record is not None and record.what else ""
    return f"failed with exit code {code}{what}", code, False


class RootCause(NamedTuple):
    """A failure: the task's name, what happened, the exit code, its host, and whether it was killed."""

    task: str
    message: str
    code: int
    host: str = ""
    was_killed: bool = False


def failures_of_mpirun(
    code: int, records: Mapping[str, ExitRecord | None], lines: Iterable[str]
) -> list[RootCause]:
    """Which ranks have failed. mpirun says little: what counts is what each rank, or the liveness server, has said.

    Args:
        code: that mpirun has returned.
        records: exit record of each rank's task, in rank order.
        lines: the last lines of all of them, and of mpirun.
    """
    if failed := [
        RootCause(name, f"failed with exit code {record.code}: {record.what}", record.code, record.host)
        for name, record in records.items()
        if record is not None and record.code
    ]:
        return failed
    missing = [name for name, record in records.items() if record is None]
    if not code and not missing:
        return []
    for line in lines:
        if match := _SAID_BY_WATCH.search(line):
            name = list(records)[int(match[2])]
            return [RootCause(name, f"is lost: {match[1]}", PeerLostError.exit_code, match[3], True)]
        if match := _SAID_BY_MPIRUN.search(line):
            return [RootCause("mpirun", "has lost this host", PeerLostError.exit_code, match[1], True)]
    message, meant, was_killed = (
        meaning_of_code(code, None) if code else ("returned 0", PeerLostError.exit_code, False)
    )
    if meant not in range(64, 78):  # a number of mpirun's own
        meant = PeerLostError.exit_code
    ranks = f"; {', '.join(missing)} did not come to the end" if missing else ""
    return [RootCause("mpirun", message + ranks, meant, "", was_killed)]
