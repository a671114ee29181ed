"""PushAssembly: tracks which parts of a push have arrived on which ps. A push counts when it is whole.

A worker whose streams broke makes its call again, under the next number. Parts of two calls are never put together:
the first call may have failed because one ps refused its part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from distrib.ps.policy.identity import PushId


@dataclass
class _Arriving:
    call: int
    where: set[int] = field(default_factory=set)
    event: Callable[[], None] | None = None


class PushAssembly:
    """Vectors on their way to several ps, as ps:0 sees them.

    Attributes:
        num_ps: how many parts a vector has.
    """

    def __init__(self) -> None:
        self.num_ps = 1
        self._arriving: dict[PushId, _Arriving] = {}
        self._torn: set[PushId] = set()

    def expect(self, push: PushId, call: int, event: Callable[[], None]) -> None:
        """Set the callback for when the vector of a call is whole."""
        if (arriving := self._of(push, call)) is not None:
            arriving.event = event

    def arrived(self, push: PushId, call: int, ps: int) -> Callable[[], None] | None:
        """The part that a call has brought is on a ps; returns the callback if the vector is whole now."""
        arriving = self._of(push, call)
        if arriving is None:
            return None
        arriving.where.add(ps)
        if arriving.event is None or len(arriving.where) < self.num_ps:
            return None
        del self._arriving[push]
        self._torn.discard(push)
        return arriving.event

    def _of(self, push: PushId, call: int) -> _Arriving | None:
        """The parts of a call so far, which replace those of the calls before; None if a later call was seen."""
        known = self._arriving.get(push)
        if known is None or known.call < call:
            known = self._arriving[push] = _Arriving(call)
        return known if known.call == call else None

    def awaits(self, worker: int, incarnation: int) -> bool:
        """Whether something of this process is here, but not yet on all ps."""
        return any(
            (push.worker, push.incarnation) == (worker, incarnation) and each.event is not None
            for push, each in self._arriving.items()
        )

    def forget(self, worker: int) -> None:
        """Forget partial vectors of this worker; the same process may send them again."""
        for push in [push for push in self._arriving if push.worker == worker]:
            del self._arriving[push]
            self._torn.add(push)

    def torn(self, worker: int, incarnation: int) -> list[PushId]:
        """Pushes that earlier processes of this worker left half sent; each is returned once."""
        known = {*self._torn, *self._arriving}  # a part may have come after its worker was gone
        found = [push for push in known if push.worker == worker and push.incarnation != incarnation]
        self._torn.difference_update(found)
        for push in found:
            self._arriving.pop(push, None)
        return found
