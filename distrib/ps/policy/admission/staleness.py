"""What to do about stale gradients. Plain classes, without I/O.

The staleness of a gradient is the number of updates of the whole model between the values it was computed from and
its arrival: `version at apply - version at pull`. 0 is fresh. With N equal workers it is N - 1 on average.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from distrib.base.arguments import HasArguments
from distrib.base.errors import ConfigError


class StalenessPolicy(HasArguments):
    """Judges gradients by their age, and workers by how far they are ahead."""

    @abstractmethod
    def factor(self, staleness: int) -> float | None:
        """By what to multiply the learning rate for a gradient this stale; None to drop it."""

    def may_begin(self, clock: int, slowest: int) -> bool:
        """Whether a worker may begin a batch.

        Args:
            clock: batches this worker has done.
            slowest: batches the slowest living worker has done.
        """
        return True

    def get_config(self) -> dict[str, Any]:
        """The arguments of this policy, as JSON values."""
        return {"class": type(self).__name__, **vars(self)}


class AcceptStale(StalenessPolicy):
    """Every gradient counts in full, however stale."""

    def factor(self, staleness: int) -> float | None:
        return 1.0


class DropStale(StalenessPolicy):
    """Drop what is staler than a limit (TensorFlow 1's `DropStaleGradientOptimizer`).

    Args:
        max_staleness: the largest staleness that is applied.
    """

    def __init__(self, max_staleness: int) -> None:
        self.max_staleness = _checked(self, "max_staleness", max_staleness)

    def factor(self, staleness: int) -> float | None:
        return 1.0 if staleness <= self.max_staleness else None


class ScaleStale(StalenessPolicy):
    """Lower the learning rate for stale gradients.

    Args:
        rule: `"inverse"` for 1 / (1 + staleness); `"zhang"` for 1 / max(1, staleness) (Zhang et al.,
            Staleness-aware Async-SGD, 2015).
    """

    def __init__(self, rule: str = "inverse") -> None:
        if rule not in ("inverse", "zhang"):
            raise ConfigError(f"ScaleStale expects rule 'inverse' or 'zhang'. Received: {rule!r}.")
        self.rule = rule

    def factor(self, staleness: int) -> float | None:
        return 1 / (1 + staleness) if self.rule == "inverse" else 1 / max(1, staleness)


class BoundStale(StalenessPolicy):
    """Keep workers within `bound` batches of the slowest one: fast workers wait.

    Stale synchronous parallel (Ho et al., 2013). A worker that comes later, or again, counts from the slowest.

    Args:
        bound: batches.
    """

    def __init__(self, bound: int) -> None:
        self.bound = _checked(self, "bound", bound)

    def factor(self, staleness: int) -> float | None:
        return 1.0

    def may_begin(self, clock: int, slowest: int) -> bool:
        return clock - slowest <= self.bound


_CLASSES: dict[str, type[StalenessPolicy]] = {
    each.__name__: each for each in (AcceptStale, DropStale, ScaleStale, BoundStale)
}


def policy_from_config(config: dict[str, Any]) -> StalenessPolicy:
    """The policy that `get_config` described. Raises `ConfigError` for another."""
    arguments = dict(config) if isinstance(config, dict) else {}
    kind = _CLASSES.get(str(arguments.pop("class", "")))
    if kind is None:
        raise ConfigError(f"Expected a staleness policy: {', '.join(_CLASSES)}. Received: {config}.")
    try:
        return kind(**arguments)
    except TypeError as error:
        raise ConfigError(f"{kind.__name__}: {error}") from None


def _checked(policy: StalenessPolicy, name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(f"{type(policy).__name__} expects {name} as an integer >= 0. Received: {value!r}.")
    return value
