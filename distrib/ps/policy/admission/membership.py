"""Membership: the workers of a job, connected or not, as the sequencer knows them."""

from __future__ import annotations

from collections.abc import ItemsView
from dataclasses import dataclass, field

from distrib.ps.policy.admission.push_counts import NO_PUSH, Outcome, PushCounts
from distrib.ps.policy.errors import AlreadyRunningError, RefusedError, ReplacedError
from distrib.ps.policy.identity import PushId


@dataclass
class Member:
    """A worker.

    Attributes:
        incarnation: which start of it.
        former: the starts before, whose late calls are refused.
        is_alive: whether it is connected.
        sequence: number of its last push.
        is_restored: whether pushes may have been lost since, as after a restoration.
        outcome: of its last push; None while that waits for its round.
        counts: what became of its pushes.
        seconds: how it has spent its time, by `CAUSES`; empty until it has said so.
    """

    incarnation: int
    former: tuple[int, ...] = ()
    is_alive: bool = True
    sequence: int = 0
    is_restored: bool = False
    outcome: Outcome | None = NO_PUSH
    counts: PushCounts = field(default_factory=PushCounts)
    seconds: tuple[float, ...] = ()


class Membership:
    """Every worker that has ever joined.

    Args:
        num_workers: how many there may be.

    Attributes:
        are_restored: whether a worker that joins may have joined and pushed before, and that is lost.
    """

    def __init__(self, num_workers: int) -> None:
        self._num_workers = num_workers
        self._all: dict[int, Member] = {}
        self._waits_for_absent = True
        self.are_restored = False

    def __getitem__(self, worker: int) -> Member:
        return self._all[worker]

    def __setitem__(self, worker: int, member: Member) -> None:
        self._all[worker] = member

    def items(self) -> ItemsView[int, Member]:
        """All, by their number."""
        return self._all.items()

    def join(self, worker: int, incarnation: int) -> None:
        """A worker is connected.

        Raises:
            RefusedError: there is no such worker.
            ReplacedError: another process has taken its place since.
            AlreadyRunningError: another process is this worker.
        """
        if not 0 <= worker < self._num_workers:
            most = self._num_workers - 1
            raise RefusedError(f"Expected a worker from 0 to {most}. Received: worker {worker}.")
        self.check_newest(worker, incarnation)
        member = self._all.get(worker)
        if member is None:
            self._all[worker] = Member(incarnation, is_restored=self.are_restored)
        elif member.incarnation == incarnation:
            member.is_alive = True
        elif member.is_alive:
            raise AlreadyRunningError(worker)
        else:
            former = (*member.former, member.incarnation)
            counts, restored = member.counts, self.are_restored
            self._all[worker] = Member(incarnation, former=former, counts=counts, is_restored=restored)

    def check_newest(self, worker: int, incarnation: int) -> None:
        """Raise `ReplacedError` if another process has replaced this one."""
        if worker in self._all and incarnation in self._all[worker].former:
            raise ReplacedError(worker)

    def leave(self, worker: int, incarnation: int) -> bool:
        """A worker is gone, or its link is; whether it was there."""
        member = self._all.get(worker)
        if member is None or member.incarnation != incarnation or not member.is_alive:
            return False
        member.is_alive = False
        return True

    def of(self, push: PushId) -> Member:
        """Whose push it is. Raises `ReplacedError` if it is one of a former process."""
        member = self._all.get(push.worker)
        if member is None or member.incarnation != push.incarnation:
            raise ReplacedError(push.worker)
        return member

    def is_alive(self, worker: int) -> bool:
        """Whether a worker is connected."""
        return worker in self._all and self._all[worker].is_alive

    def give_up_absent(self) -> list[int]:
        """Wait no longer for workers that were never there; returns their numbers."""
        self._waits_for_absent = False
        return [worker for worker in range(self._num_workers) if worker not in self._all]

    @property
    def num_awaited(self) -> int:
        """Workers that have never joined, and are awaited."""
        waits = self._waits_for_absent and not self.are_restored
        return self._num_workers - len(self._all) if waits else 0

    @property
    def num_lost(self) -> int:
        """Workers that have left, and those that never joined and are no longer awaited."""
        lost = sum(not member.is_alive for member in self._all.values())
        return lost if self._waits_for_absent else lost + self._num_workers - len(self._all)
