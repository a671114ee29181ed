"""Admission: leases examples to workers, and decides which gradients make an update. No I/O.

`SyncRounds`: an update takes the gradients of the first N distinct workers of N + b. The next `batch_size` positions
are cut into N parts, one for each worker; with b = 0 that is the single process's batch, summed in the order of the
parts. Backup workers get further parts of the same size. When N parts have come, the round is closed: what is still
under way is void, and its examples are free again. A part lies within one span, so where such examples lie between
others that are done, it may be smaller; there are N of them all the same, as long as N examples of the pass are left.
A part whose worker died is leased to another one. If fewer than N workers are alive, a worker may do several parts
of a round.

`AsyncAdmission`: each gradient is an update of its own, when it comes. `batch_size` examples make a lease. A worker
that would idle at the end leases what another is still computing; the first to come is applied.

How stale a gradient may be is decided before, in `ps/policy/order/aggregation.py`, by the policies of `staleness.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from distrib.base.ranges import Range
from distrib.data.schedule import Positions
from distrib.ps.policy.admission.ledger import Lease, Ledger

Key = TypeVar("Key")


@dataclass
class Decision(Generic[Key]):
    """The decision about a push.

    Attributes:
        apply: the pushes that make an update now, in the order in which they are added; empty for none.
        drop: the pushes that are void.
        why: of the dropped ones.
    """

    apply: list[Key] = field(default_factory=list)
    drop: list[Key] = field(default_factory=list)
    why: str = ""


class Admission(ABC, Generic[Key]):
    """Leases examples of one epoch to workers, and admits what they push.

    Args:
        ledger: the examples of the epoch.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    @abstractmethod
    def lease(self, worker: int, num_alive: int) -> Lease | None:
        """Lease examples to a worker; None if it has to wait."""

    @abstractmethod
    def push(self, worker: int, number: int, key: Key) -> Decision[Key]:
        """A worker has computed lease `number`; `key` stands for its gradient.

        An empty decision means that the gradient is kept until the round is closed.
        """

    def holds(self, worker: int) -> bool:
        """Whether this worker has something to compute while it waits for a lease."""
        return False

    @abstractmethod
    def return_lease(self, worker: int, number: int) -> None:
        """The gradient of this lease is not used: its examples are free again."""

    def undone(self) -> list[Positions]:
        """The positions that no update has taken yet."""
        return self.ledger.undone()

    @abstractmethod
    def lost(self, worker: int) -> None:
        """A worker is gone: its leases go to others. What it has pushed counts."""


@dataclass
class _Part(Generic[Key]):
    span: Positions
    lease: Lease | None = None
    holder: int | None = None
    key: Key | None = None


class SyncRounds(Admission[Key]):
    """Rounds of N gradients.

    Args:
        ledger: the examples of the epoch.
        batch_size: examples of a round.
        num_to_aggregate: N, the parts of a round.
        num_backups: b, the workers beyond N.
    """

    def __init__(self, ledger: Ledger, batch_size: int, num_to_aggregate: int, num_backups: int = 0) -> None:
        super().__init__(ledger)
        self._batch_size, self._count, self._num_backups = batch_size, num_to_aggregate, num_backups
        self._parts: list[_Part[Key]] = []
        self._needed = 0

    def lease(self, worker: int, num_alive: int) -> Lease | None:
        if not self._parts:
            self._open_round()
        waived = num_alive < self._count
        mine = [part for part in self._parts if part.holder == worker]
        if any(part.key is None for part in mine) or (mine and not waived):
            return None
        part = next((part for part in self._parts if part.holder is None), None) or self._backup_part()
        if part is None:
            return None
        part.lease, part.holder = self.ledger.lease(part.span), worker
        return part.lease

    def push(self, worker: int, number: int, key: Key) -> Decision[Key]:
        part = next((p for p in self._parts if p.lease is not None and p.lease.number == number), None)
        if part is None or part.holder != worker:
            return Decision(drop=[key], why="the round is closed")
        part.key = key
        done = [part for part in self._parts if part.key is not None]
        if len(done) < self._needed:
            return Decision()
        for each in self._parts:
            if each.lease is None:
                self.ledger.put_back(each.span)
            elif each.key is None:
                self.ledger.give_back(each.lease.number)
            else:
                self.ledger.finish(each.lease.number)
        self._parts = []
        return Decision(apply=[part.key for part in done if part.key is not None])

    def return_lease(self, worker: int, number: int) -> None:
        for part in self._parts:
            if part.holder == worker and part.lease is not None and part.lease.number == number:
                self._free(part)

    def lost(self, worker: int) -> None:
        for part in self._parts:
            if part.holder == worker and part.key is None:
                self._free(part)

    def undone(self) -> list[Positions]:
        return sorted([*self.ledger.undone(), *(part.span for part in self._parts if part.lease is None)])

    def _free(self, part: _Part[Key]) -> None:
        if part.lease is not None:
            self.ledger.abandon(part.lease.number)  # the part stays in the round
        part.lease = part.holder = part.key = None

    def _open_round(self) -> None:
        whole = Range(0, min(self._batch_size, self.ledger.num_free_of_pass))
        sizes = [whole.part(index, self._count).size for index in range(self._count)]
        spans = [self.ledger.take(size) for size in sizes if size]
        self._parts = [_Part(span) for span in spans if span is not None]
        self._needed = len(self._parts)

    def _backup_part(self) -> _Part[Key] | None:
        if not self._parts or len(self._parts) >= self._needed + self._num_backups:
            return None
        span = self.ledger.take(max(part.span.range.size for part in self._parts))
        if span is None:
            return None
        self._parts.append(_Part(span))
        return self._parts[-1]


class AsyncAdmission(Admission[Key]):
    """Every gradient by itself.

    Args:
        ledger: the examples of the epoch.
        batch_size: examples of a lease.
        num_leases: how many a worker may hold.
    """

    def __init__(self, ledger: Ledger, batch_size: int, num_leases: int = 1) -> None:
        super().__init__(ledger)
        self._batch_size, self._num_leases = batch_size, num_leases
        self._held: dict[int, list[int]] = {}

    def lease(self, worker: int, num_alive: int) -> Lease | None:
        held = self._held.setdefault(worker, [])
        if len(held) >= self._num_leases:
            return None
        span = self.ledger.take(self._batch_size)
        if span is not None:
            lease: Lease | None = self.ledger.lease(span)
        else:
            lease = None if held else self.ledger.lease_again()
        if lease is not None:
            held.append(lease.number)
        return lease

    def holds(self, worker: int) -> bool:
        return bool(self._held.get(worker))

    def push(self, worker: int, number: int, key: Key) -> Decision[Key]:
        if number not in self._held.get(worker, []):
            return Decision(drop=[key], why="the lease is over")
        self._held[worker].remove(number)
        if not self.ledger.finish(number):
            return Decision(drop=[key], why="another worker was first")
        return Decision(apply=[key])

    def return_lease(self, worker: int, number: int) -> None:
        if number in self._held.get(worker, []):
            self._held[worker].remove(number)
            self.ledger.give_back(number)

    def lost(self, worker: int) -> None:
        for number in self._held.pop(worker, []):
            self.ledger.give_back(number)
