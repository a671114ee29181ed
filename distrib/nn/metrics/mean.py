"""Means of a value of each example, and sums."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.base.arrays import Array
from distrib.nn.calls.call_context import current_context
from distrib.nn.custom_objects import get_registered_name
from distrib.nn.metrics.metric import SumsMetric


class MeanMetric(SumsMetric):
    """A weighted mean of one value an example. The sums are that of the values and that of the weights.

    Args:
        name: see `Metric`.
        dtype: see `Metric`.
    """

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(2, name, dtype)

    @abstractmethod
    def values(self, y_true: Array, y_pred: Array) -> Array:
        """The values `(batch,)`, number or bool, in memory of this metric."""

    @property
    def total(self) -> float:
        """Sum of the weighted values."""
        return float(self._state[0])

    @property
    def count(self) -> float:
        """Sum of the weights."""
        return float(self._state[1])

    def measure(self, y_true: Array, y_pred: Array, weight: Array | None, out: Array) -> None:
        values = self.values(y_true, y_pred)
        if weight is not None:
            out[0] = np.sum(values * weight, dtype=np.float64)
            out[1] = np.sum(weight, dtype=np.float64)
            return
        is_bool = values.dtype == bool
        out[0] = np.count_nonzero(values) if is_bool else np.add.reduce(values, dtype=np.float64)
        out[1] = len(values)

    def current(self) -> float:
        """The mean so far; 0.0 before the first example."""
        return self.total / self.count if self.count else 0.0


class Mean(MeanMetric):
    """The mean of the values it is given: `update_state(values, sample_weight=None)`."""

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return y_true

    def update_state(  # type: ignore[override]
        self, values: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        flat = np.asarray(values, dtype=np.float64).reshape(-1)
        if np.ndim(values) == 0 and sample_weight is None:
            # A number that a step has computed from its part of a batch.
            context = current_context()
            sample_weight = None if context is None or context.rows is None else [context.rows]
        super().update_state(flat, flat, sample_weight)


class Sum(Mean):
    """The sum of the values it is given: `update_state(values, sample_weight=None)`."""

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def current(self) -> float:
        return self.total


class MeanMetricWrapper(MeanMetric):
    """The mean of what a function returns.

    Args:
        fn: `fn(y_true, y_pred, **kwargs)` returns a value for each example, `(batch, ...)`.
        name: name of the function by default.
        dtype: see `Metric`.
        kwargs: for the function.
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), dtype)
        self._fn, self._kwargs = fn, kwargs

    def values(self, y_true: Array, y_pred: Array) -> Array:
        values = np.asarray(self._fn(y_true, y_pred, **self._kwargs))
        if values.ndim == 0:
            values = np.full(len(y_pred), values)  # the function has taken the mean of the batch itself
        return per_example(values)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"fn": _name_of(self._fn)}


def _name_of(fn: Callable[..., Any]) -> str:
    name = get_registered_name(fn) if hasattr(fn, "__name__") else repr(fn)
    return name if ">" in name else getattr(fn, "__qualname__", name)


def per_example(elements: Array) -> Array:
    """One value an example: the elements themselves, or their mean over all axes but the first."""
    if elements.ndim == 1:
        return elements
    means: Array = np.mean(elements, axis=tuple(range(1, elements.ndim)))
    return means
