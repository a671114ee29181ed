"""Metrics with Keras' names, definitions and defaults.

Every metric here is a mean: a sum of weighted values over a sum of weights. Sums can be added in any order and
on any number of replicas, which is what makes metrics exact under data parallelism: a replica measures the sums
of its examples, the strategy adds them, and only then they are divided.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from distrib.base.arguments import HasArguments
from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError
from distrib.nn.registry import Registry
from distrib.nn.workspace import Workspace


class Metric(HasArguments):
    """A weighted mean of one value an example.

    Args:
        name: key in logs and history.

    Attributes:
        direction: whether more (`"up"`) or less (`"down"`) is better; None if that is not defined.
    """

    direction: Literal["up", "down"] | None = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = 0.0
        self.count = 0.0
        self._scratch = Workspace()

    @abstractmethod
    def values(self, y_true: Array, y_pred: Array) -> Array:
        """The values `(batch,)`, number or bool, in memory of this metric."""

    def measure(
        self, y_true: Array, y_pred: Array, sample_weight: Array | None = None
    ) -> tuple[float, float]:
        """Sum of weighted values and sum of weights over a batch, without touching the state."""
        values = self.values(y_true, y_pred)
        if sample_weight is None:
            if values.dtype == bool:
                return float(np.count_nonzero(values)), float(len(values))
            return float(np.add.reduce(values, dtype=np.float64)), float(len(values))
        return (
            float(np.sum(values * sample_weight, dtype=np.float64)),
            float(np.sum(sample_weight, dtype=np.float64)),
        )

    def add(self, total: float, count: float) -> None:
        """Add sums to the state."""
        self.total += total
        self.count += count

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Measure a batch and add it to the state."""
        weights = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        self.add(*self.measure(np.asarray(y_true), np.asarray(y_pred), weights))

    def result(self) -> float:
        """The mean so far; 0.0 before the first example."""
        return self.total / self.count if self.count else 0.0

    def twin(self) -> Self:
        """The same metric with a state and scratch memory of its own, reset."""
        twin = copy.copy(self)
        twin._scratch = Workspace()
        twin.reset_state()
        return twin

    def reset_state(self) -> None:
        """Forget everything measured so far."""
        self.total = self.count = 0.0

    def get_config(self) -> dict[str, Any]:
        """The arguments of the metric, as JSON values."""
        state = ("total", "count")
        fields = {key: value for key, value in vars(self).items() if key not in state and key[0] != "_"}
        return {"class": type(self).__name__, **fields}


class Mean(Metric):
    """The mean of the values it is given: `update_state(values, sample_weight=None)`."""

    def __init__(self, name: str = "mean") -> None:
        super().__init__(name)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return y_true

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> None:
        values = np.asarray(y_true, dtype=np.float64).reshape(-1)
        super().update_state(values, values, sample_weight)


class Accuracy(Metric):
    """How often predictions equal targets."""

    direction = "up"

    def __init__(self, name: str = "accuracy") -> None:
        super().__init__(name)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return _per_example(y_true.reshape(y_pred.shape) == y_pred)


class BinaryAccuracy(Metric):
    """How often `y_pred > threshold` equals the target, 0 or 1."""

    direction = "up"

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = threshold

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return _per_example((y_pred > self.threshold) == y_true.reshape(y_pred.shape))


class SparseCategoricalAccuracy(Metric):
    """How often the largest prediction is that of the integer label."""

    direction = "up"

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(name)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        guess = self._scratch.rows("guess", len(y_pred), y_pred.shape[1:-1], np.dtype(np.intp))
        np.argmax(y_pred, axis=-1, out=guess)
        matches = self._scratch.like("matches", guess, np.dtype(bool))
        np.equal(guess, y_true.reshape(guess.shape), out=matches)
        return _per_example(matches)


class CategoricalAccuracy(Metric):
    """How often the largest prediction is where the target is largest."""

    direction = "up"

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(name)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return _per_example(np.argmax(y_pred, axis=-1) == np.argmax(y_true, axis=-1))


class SparseTopKCategoricalAccuracy(Metric):
    """How often the integer label is among the `k` largest predictions."""

    direction = "up"

    def __init__(self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy") -> None:
        super().__init__(name)
        if k < 1:
            raise ConfigError(f"{type(self).__name__} expects k >= 1. Received: k={k}.")
        self.k = k

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return _per_example(self._in_top_k(y_true.astype(np.intp).reshape(y_pred.shape[:-1]), y_pred))

    def _in_top_k(self, labels: Array, y_pred: Array) -> Array:
        at_label = np.take_along_axis(y_pred, labels[..., None], axis=-1)
        matches: Array = np.count_nonzero(y_pred > at_label, axis=-1) < self.k
        return matches


class TopKCategoricalAccuracy(SparseTopKCategoricalAccuracy):
    """How often the largest target is among the `k` largest predictions."""

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy") -> None:
        super().__init__(k, name)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return _per_example(self._in_top_k(np.argmax(y_true, axis=-1), y_pred))


def _per_example(elements: Array) -> Array:
    """One value an example: the elements themselves, or their mean over all axes but the first."""
    if elements.ndim == 1:
        return elements
    means: Array = np.mean(elements, axis=tuple(range(1, elements.ndim)))
    return means


REGISTRY: Registry[Metric] = Registry(
    "metric",
    Metric,
    {
        "accuracy": Accuracy,
        "binary_accuracy": BinaryAccuracy,
        "categorical_accuracy": CategoricalAccuracy,
        "mean": Mean,
        "sparse_categorical_accuracy": SparseCategoricalAccuracy,
        "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
        "top_k_categorical_accuracy": TopKCategoricalAccuracy,
    },
)


def get(identifier: str | Metric, output_shape: Shape, sparse_targets: bool) -> Metric:
    """The metric of that name, or `identifier` itself.

    `"accuracy"` (or `"acc"`) is chosen as Keras does: binary for one output, sparse for integer labels,
    else categorical.

    Args:
        identifier: name or instance.
        output_shape: shape of one output of the model.
        sparse_targets: whether the targets are integer labels, of one axis less than the outputs.

    Raises:
        ConfigError: unknown name.
    """
    if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc"):
        if output_shape[-1:] == (1,):
            return BinaryAccuracy(name=identifier)
        if sparse_targets:
            return SparseCategoricalAccuracy(name=identifier)
        return CategoricalAccuracy(name=identifier)
    metric = REGISTRY.get(identifier)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def from_config(config: Mapping[str, Any]) -> Metric:
    """The metric that a config with its `"class"` describes. Raises `ConfigError` unless it is built in."""
    return REGISTRY.from_config(config)


__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "Mean",
    "Metric",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "get",
]


def __dir__() -> list[str]:
    return __all__
