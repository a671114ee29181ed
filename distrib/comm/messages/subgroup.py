"""Subgroup: some ranks of a transport, renumbered, as a transport.

All ranks of the job must take part in some subset at the same time: the subsets share the transport's count of
collectives, by which it is known who is late.
"""

from __future__ import annotations

from collections.abc import Sequence

from distrib.base.arrays import Array
from distrib.comm.messages.transport import Request, Transport


class Subgroup(Transport):
    """Messages between some ranks.

    Args:
        whole: the transport between all ranks.
        members: the ranks of `whole` that take part, this one among them; their order makes their new ranks.
    """

    def __init__(self, whole: Transport, members: Sequence[int]) -> None:
        self._whole, self._members = whole, list(members)
        self.rank, self.world_size = self._members.index(whole.rank), len(self._members)
        self.hosts = [whole.hosts[member] for member in self._members]
        self.liveness = whole.liveness
        self.cores = [whole.cores[member] for member in self._members]

    @property
    def job(self) -> bytes:  # type: ignore[override]
        """The job is that of all ranks, and so are `model` and `sequence`."""
        return self._whole.job

    @property
    def model(self) -> bytes:
        return self._whole.model

    @model.setter
    def model(self, model: bytes) -> None:
        self._whole.model = model

    @property
    def sequence(self) -> int:
        return self._whole.sequence

    @sequence.setter
    def sequence(self, sequence: int) -> None:
        self._whole.sequence = sequence

    def send(self, message: Array, dest: int) -> Request:
        return self._whole.send(message, self._members[dest])

    def receive(self, message: Array, source: int) -> Request:
        return self._whole.receive(message, self._members[source])

    def progress(self) -> None:
        self._whole.progress()

    def who(self, rank: int) -> str:
        return self._whole.who(self._members[rank])
