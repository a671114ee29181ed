"""LocalRanks: monitors the ranks of this host from outside, without their help.

So a rank that holds the GIL for long is not taken for a frozen one, and of a dead one it can still be read where
it was and how it died.
"""

from __future__ import annotations

from collections.abc import Sequence

from distrib.comm.liveness.progress_page import ProgressReader
from distrib.comm.liveness.protocol import Peer
from distrib.host.process_status import ProcessStatus


class LocalRanks:
    """Looks after ranks of this host.

    Args:
        peers: they, all alive now.

    Attributes:
        ranks: their ranks.
    """

    def __init__(self, peers: Sequence[Peer]) -> None:
        self.ranks = {peer.rank for peer in peers}
        self._postmortems = {peer.rank: ProcessStatus(peer.pid) for peer in peers}
        self._pages = {peer.rank: ProgressReader(peer.pid, peer.page) for peer in peers}

    def pages(self) -> dict[int, list[int]]:
        """The progress of each rank, at its death where it has died; without ranks for which it is not known."""
        read = {rank: page.read() for rank, page in self._pages.items()}
        return {rank: list(page) for rank, page in read.items() if page is not None}

    def stopped(self) -> set[int]:
        """The ranks that a signal has stopped, as SIGSTOP does."""
        return {rank for rank, each in self._postmortems.items() if each.is_stopped()}

    def cause(self, rank: int) -> str:
        """How a rank died, as text; empty if unknown. Waits briefly for its end."""
        return self._postmortems[rank].cause()

    def ends(self) -> dict[int, int]:
        """For each rank a file descriptor that becomes readable when it ends; without ranks that have none."""
        return {rank: each.pidfd for rank, each in self._postmortems.items() if each.pidfd >= 0}
