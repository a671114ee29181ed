"""PushAssembly: tracks which parts of a push have arrived on which ps. A push counts when it is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from distrib.ps.policy.identity import PushId


@dataclass
class _Arriving:
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

    def expect(self, push: PushId, event: Callable[[], None]) -> None:
        """Set the callback for when a vector is whole. A retry replaces the one before."""
        self._arriving.setdefault(push, _Arriving()).event = event

    def arrived(self, push: PushId, ps: int) -> Callable[[], None] | None:
        """A part is on a ps; returns what is to happen now."""
        arriving = self._arriving.setdefault(push, _Arriving())
        arriving.where.add(ps)
        if arriving.event is None or len(arriving.where) < self.num_ps:
            return None
        del self._arriving[push]
        self._torn.discard(push)
        return arriving.event

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
