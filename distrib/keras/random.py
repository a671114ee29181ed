"""`distrib.keras.random`: random arrays with Keras' names.

In the `call` and the steps of models that are trained, an array with a row for each example is the same on any number
of replicas.
"""

from __future__ import annotations

from typing import Any

from distrib.base.arguments import HasArguments, checked
from distrib.tf import random

__all__ = ["SeedGenerator", "dropout", "normal", "shuffle", "uniform"]


class SeedGenerator(HasArguments):
    """Seeds, another one at each call.

    Args:
        seed: what they follow from; by default the global seed.
        name: accepted for Keras' sake.
        kwargs: likewise.
    """

    def __init__(self, seed: int | None = None, name: str | None = None, **kwargs: Any) -> None:
        self.seed, self._count = seed, 0

    def next(self, ordered: bool = True) -> int | None:
        """The next seed; None where the global seed says it."""
        self._count += 1
        return None if self.seed is None else self.seed * 1_000_003 + self._count


def _seed(seed: Any) -> int | None:
    found: int | None = seed.next() if isinstance(seed, SeedGenerator) else seed
    return found


@checked
def normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Normal numbers."""
    return random.normal(shape, mean, stddev, dtype or "float32", _seed(seed))


@checked
def uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Uniform numbers from `minval` to before `maxval`."""
    return random.uniform(shape, minval, maxval, dtype or "float32", _seed(seed))


@checked
def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Any:
    """The slices along the first axis in another order."""
    return random.shuffle(x, _seed(seed))


@checked
def dropout(inputs: Any, rate: float, noise_shape: None = None, seed: Any = None) -> Any:
    """The inputs with a random share of the elements 0, and the others scaled up."""
    return random.dropped(inputs, rate, _seed(seed))
