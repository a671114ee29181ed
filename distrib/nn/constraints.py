"""Constraints on variables, with Keras' names and definitions: applied by the owner of a variable after each update.

Norms are those of `axis`, such as the columns of a kernel for axis 0. A variable with a constraint is not cut
between owners, so that a norm is always that of the whole.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distrib.base.arguments import HasArguments
from distrib.base.arrays import Array
from distrib.nn.registry import Registry

_EPSILON = 1e-7


class Constraint(HasArguments):
    """A projection of the values of a variable. Subclasses define `__call__`."""

    @abstractmethod
    def __call__(self, w: Array) -> Array:
        """The values that take the place of `w`, of the same shape. `w` is not modified."""

    def get_config(self) -> dict[str, Any]:
        """The arguments of this constraint, as JSON values."""
        return dict(vars(self))


def _axes(axis: int | Sequence[int]) -> int | list[int]:
    return int(axis) if isinstance(axis, int | np.integer) else [int(each) for each in axis]


def _norms(w: Array, axis: int | list[int]) -> Array:
    axes = tuple(axis) if isinstance(axis, list) else axis
    return np.asarray(np.sqrt(np.sum(np.square(w), axis=axes, keepdims=True)))


def _scaled(w: Array, desired: Array, norms: Array) -> Array:
    return np.asarray(w * (desired / (w.dtype.type(_EPSILON) + norms)))


class MaxNorm(Constraint):
    """Scale down what has a larger norm than this.

    Args:
        max_value: largest norm.
        axis: axis or axes to compute norms over.
    """

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        self.max_value, self.axis = max_value, _axes(axis)

    def __call__(self, w: Array) -> Array:
        norms = _norms(w, self.axis)
        return _scaled(w, np.clip(norms, 0, self.max_value), norms)


class NonNeg(Constraint):
    """Replace negative values by 0."""

    def __call__(self, w: Array) -> Array:
        return np.maximum(w, 0)


class UnitNorm(Constraint):
    """Scale to norm 1.

    Args:
        axis: axis or axes to compute norms over.
    """

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self.axis = _axes(axis)

    def __call__(self, w: Array) -> Array:
        return np.asarray(w / (w.dtype.type(_EPSILON) + _norms(w, self.axis)))


class MinMaxNorm(Constraint):
    """Scale to a norm between two bounds.

    Args:
        min_value: smallest norm.
        max_value: largest norm.
        rate: 1 to scale to the bound at once; less, to go a part of the way at each update.
        axis: axis or axes to compute norms over.
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] = 0,
    ) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, _axes(axis)

    def __call__(self, w: Array) -> Array:
        norms = _norms(w, self.axis)
        bounded = np.clip(norms, self.min_value, self.max_value)
        return _scaled(w, self.rate * bounded + (1 - self.rate) * norms, norms)


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm

REGISTRY: Registry[Constraint] = Registry(
    "constraint",
    Constraint,
    {"max_norm": MaxNorm, "non_neg": NonNeg, "unit_norm": UnitNorm, "min_max_norm": MinMaxNorm},
)


def get(identifier: str | Constraint | None) -> Constraint | None:
    """The constraint of that name, or `identifier` itself. Raises `ConfigError` for unknown names."""
    return None if identifier is None else REGISTRY.get(identifier)


def from_config(config: Mapping[str, Any]) -> Constraint:
    """The constraint that a config with its `"class"` describes. Raises `ConfigError` unless it is built in."""
    return REGISTRY.from_config(config)


__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "unit_norm",
]


def __dir__() -> list[str]:
    return __all__
