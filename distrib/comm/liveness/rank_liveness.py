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
        client: the connection to the server; None before the ranks have met, and where there is one rank only.
    """

    def __init__(self, ending: ExitHandler) -> None:
        self._ending = ending
        self.client: LivenessClient | None = None

    def enter(self, sequence: int) -> None:
        if self.client is not None:
            self.client.enter(sequence)
        self._ending.check()

    def check(self) -> None:
        self._ending.check()

    def waits(self, waits: bool) -> None:
        if self.client is not None:
            self.client.wait(waits)

    def late(self, sequence: int) -> str:
        return "" if self.client is None else self.client.late(sequence)

    def at_step(self, step: int) -> None:
        if self.client is not None:
            self.client.at_step(step)

    def confirm(self) -> None:
        if self.client is not None:
            self.client.confirm()
