"""RankLiveness: the liveness of the ranks of an MPI job, as the client of the liveness server hears of it."""

from __future__ import annotations

from distrib.comm.liveness.client import LivenessClient
from distrib.comm.liveness.exit import ExitHandler
from distrib.comm.liveness.liveness import Liveness


class RankLiveness(Liveness):
    """What this rank knows of the others: nothing before they have met.

    Args:
        ending: what happens when a rank ends.

    Attributes:
        watch: the connection to the server; None before the ranks have met, and where there is one rank only.
    """

    def __init__(self, ending: ExitHandler) -> None:
        self._ending = ending
        self.watch: LivenessClient | None = None

    def enter(self, sequence: int) -> None:
        if self.watch is not None:
            self.watch.enter(sequence)
        self._ending.check()

    def check(self) -> None:
        self._ending.check()

    def waits(self, waits: bool) -> None:
        if self.watch is not None:
            self.watch.wait(waits)

    def late(self, sequence: int) -> str:
        return "" if self.watch is None else self.watch.late(sequence)

    def at_step(self, step: int) -> None:
        if self.watch is not None:
            self.watch.at_step(step)

    def confirm(self) -> None:
        if self.watch is not None:
            self.watch.confirm()
