"""Ledger: which examples of an epoch are free, leased, or done.

Examples are leased, not sharded: a lease is a span of positions in the order of one pass over the data. A span may be
leased more than once (the first to finish it wins), and given back. So every example is done exactly
once, no matter which worker is slow, dies, or comes back.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from typing import NamedTuple

from distrib.base.ranges import Range
from distrib.data.schedule import Positions
from distrib.ps.policy.errors import ImpossibleError


class Lease(NamedTuple):
    """A right to compute a span.

    Attributes:
        number: unique in its ledger.
        span: the positions.
    """

    number: int
    span: Positions


class Ledger:
    """The examples of one epoch.

    Args:
        spans: the positions, each once; leases do not reach across their borders between passes.
        first: number of the first lease.

    Attributes:
        num_examples: in all spans.
        num_done: so far.
    """

    def __init__(self, spans: Iterable[Positions], first: int = 0) -> None:
        self._free: list[Positions] = []
        for span in spans:
            self._release(span)
        self.num_examples = sum(span.range.size for span in self._free)
        self.num_done = 0
        self._next = first
        self._leases: dict[int, Positions] = {}
        self._holders: dict[Positions, set[int]] = {}

    @property
    def is_done(self) -> bool:
        """Whether every example is done."""
        return self.num_done == self.num_examples

    @property
    def num_free_of_pass(self) -> int:
        """How many positions of the first pass that has free ones are free."""
        return sum(span.range.size for span in self._free if span.pass_index == self._free[0].pass_index)

    def take(self, count: int) -> Positions | None:
        """Take the first free positions, up to `count` of one pass, for `lease`. None if there are none."""
        if not self._free:
            return None
        pass_index, whole = self._free.pop(0)
        end = min(whole.end, whole.begin + count)
        if end < whole.end:
            self._free.insert(0, Positions(pass_index, Range(end, whole.end)))
        return Positions(pass_index, Range(whole.begin, end))

    def put_back(self, span: Positions) -> None:
        """Undo a `take` that was not leased."""
        self._release(span)

    def lease(self, span: Positions) -> Lease:
        """Lease a span that was taken, or one that is leased already, to one more holder."""
        lease = Lease(self._next, span)
        self._next += 1
        self._leases[lease.number] = span
        self._holders.setdefault(span, set()).add(lease.number)
        return lease

    def lease_again(self) -> Lease | None:
        """Lease what fewest others hold, the oldest first. None if nothing is leased."""
        if not self._holders:
            return None
        return self.lease(min(self._holders, key=lambda span: (len(self._holders[span]), span)))

    def check_size(self, number: int, count: float) -> None:
        """Raise `ImpossibleError` unless a lease has `count` examples; any number will do where the lease is over."""
        span = self._leases.get(number)
        if span is not None and count != span.range.end - span.range.begin:
            raise ImpossibleError(
                f"Expected the {span.range.size} examples of lease {number}. Received: {count:g} examples."
            )

    def finish(self, number: int) -> bool:
        """The holder has done it. False if the lease is over, as when another was first."""
        span = self._leases.get(number)
        if span is None:
            return False
        for each in self._holders.pop(span):
            del self._leases[each]
        self.num_done += span.range.end - span.range.begin
        return True

    def give_back(self, number: int) -> None:
        """The holder will not do it. Its examples are free again, unless another holds them too."""
        span = self._leases.get(number)
        if span is not None and self.abandon(number):
            self._release(span)

    def abandon(self, number: int) -> bool:
        """The holder will not do it; its examples stay taken. Returns whether they have no holder now."""
        span = self._leases.pop(number)
        holders = self._holders[span]
        holders.discard(number)
        if not holders:
            del self._holders[span]
        return not holders

    def undone(self) -> list[Positions]:
        """All positions that are not done, leased or not, in their order; parts of open rounds among them."""
        return sorted([*self._free, *self._holders])

    def _release(self, span: Positions) -> None:
        """Add a span to the free ones, joined with its neighbours."""
        if not span.range.size:
            return
        insort(self._free, span)
        index = self._free.index(span)
        for left in (index, index - 1):
            if 0 <= left < len(self._free) - 1:
                (p, a), (q, b) = self._free[left], self._free[left + 1]
                if p == q and a.end == b.begin:
                    self._free[left : left + 2] = [Positions(p, Range(a.begin, b.end))]
