"""Weight penalties, with Keras' names and definitions.

The penalty is added to the loss once, whatever the number of replicas: the owner of a range of the flat
vector adds the penalty and its gradient for that range.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from distrib.base.arguments import HasArguments, checked
from distrib.base.arrays import Array
from distrib.nn.registry import Registry


class Regularizer(HasArguments):
    """A penalty on the elements of a variable."""

    @abstractmethod
    def __call__(self, values: Array) -> float:
        """The penalty for these elements."""

    @abstractmethod
    def add_gradient(self, values: Array, grads: Array, scale: float) -> None:
        """Add `scale` times the penalty's gradient to `grads`, in place."""

    def get_config(self) -> dict[str, float]:
        """The arguments of this regularizer, as JSON values."""
        return {name: float(value) for name, value in vars(self).items()}


class L1L2(Regularizer):
    """`l1 * sum(|w|) + l2 * sum(w ** 2)`."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = l1, l2

    def __call__(self, values: Array) -> float:
        penalty = 0.0
        if self.l1:
            penalty += self.l1 * float(np.sum(np.abs(values), dtype=np.float64))
        if self.l2:
            penalty += self.l2 * float(np.dot(values, values))
        return penalty

    def add_gradient(self, values: Array, grads: Array, scale: float) -> None:
        if self.l1:
            grads += grads.dtype.type(scale * self.l1) * np.sign(values)
        if self.l2:
            grads += grads.dtype.type(2.0 * scale * self.l2) * values

    def form(self, values: Any) -> Any:
        """The penalty in functions that a tape records, for second derivatives."""
        return self.l1 * np.sum(np.abs(values)) + self.l2 * np.sum(np.square(values))


class L1(L1L2):
    """`l1 * sum(|w|)`."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


class L2(L1L2):
    """`l2 * sum(w ** 2)`."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


@checked
def l1(l1: float = 0.01) -> L1:
    """See `L1`."""
    return L1(l1)


@checked
def l2(l2: float = 0.01) -> L2:
    """See `L2`."""
    return L2(l2)


@checked
def l1_l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """See `L1L2`; here both factors are 0.01 by default, as in Keras."""
    return L1L2(l1, l2)


REGISTRY: Registry[Regularizer] = Registry("regularizer", Regularizer, {"l1": L1, "l2": L2, "l1_l2": L1L2})


def get(identifier: str | Regularizer | None) -> Regularizer | None:
    """The regularizer of that name, or `identifier` itself. Raises `ConfigError` for unknown names."""
    return None if identifier is None else REGISTRY.get(identifier)


def from_config(config: Mapping[str, Any]) -> Regularizer:
    """The regularizer that a config with its `"class"` describes. Raises `ConfigError` unless it is built in."""
    return REGISTRY.from_config(config)


__all__ = [
    "L1",
    "L1L2",
    "L2",
    "Regularizer",
    "get",
    "l1",
    "l1_l2",
    "l2",
]


def __dir__() -> list[str]:
    return __all__
