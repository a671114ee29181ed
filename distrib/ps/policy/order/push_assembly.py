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
    where: set[int] = field(default_factory=set)
    event: Callable[[], None] | None = None


class PushAssembly:
    """Vectors on their way to several ps, as ps:0 sees them.

    Attributes:
        num_ps: how many parts a vector has.
    """

    def __init__(self) -> None:
        self.num_ps = 1
        self._arriving: dict[tuple[PushId, int], _Arriving] = {}  # by the calls that bring them
        self._torn: set[PushId] = set()

    def expect(self, push: PushId, call: int, event: Callable[[], None]) -> None:
        """Set the callback for when the vector of a call is whole."""
        self._arriving.setdefault((push, call), _Arriving()).event = event

    def arrived(self, push: PushId, call: int, ps: int) -> Callable[[], None] | None:
        """The part that a call has brought is on a ps; returns the callback if the vector is whole now."""
        arriving = self._arriving.setdefault((push, call), _Arriving())
        arriving.where.add(ps)
        if arriving.event is None or len(arriving.where) < self.num_ps:
            return None
        for earlier in [key for key in self._arriving if key[0] == push and key[1] <= call]:
            del self._arriving[earlier]
        self._torn.discard(push)
        return arriving.event

    def awaits(self, worker: int, incarnation: int) -> bool:
        """Whether something of this process is here, but not yet on all ps."""
        return any(
            (push.worker, push.incarnation) == (worker, incarnation) and each.event is not None
            for (push, _), each in self._arriving.items()
        )

    def forget(self, worker: int) -> None:
        """Forget partial vectors of this worker; the same process may send them again."""
        self._torn |= self._forget(lambda push: push.worker == worker)

    def torn(self, worker: int, incarnation: int) -> list[PushId]:
        """Pushes that earlier processes of this worker left half sent; each is returned once."""

        def is_old(push: PushId) -> bool:
            return push.worker == worker and push.incarnation != incarnation

        # A part may have come after its worker was gone.
        found = self._forget(is_old) | set(filter(is_old, self._torn))
        self._torn -= found
        return list(found)

    def _forget(self, which: Callable[[PushId], bool]) -> set[PushId]:
        found = [key for key in self._arriving if which(key[0])]
        for key in found:
            del self._arriving[key]
        return {push for push, _ in found}
