"""Shares of right predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.metrics.mean import MeanMetric, per_example


class Accuracy(MeanMetric):
    """How often predictions equal targets."""

    direction = "up"

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return per_example(y_true.reshape(y_pred.shape) == y_pred)


class BinaryAccuracy(MeanMetric):
    """How often `y_pred > threshold` equals the target, 0 or 1."""

    direction = "up"

    def __init__(self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(name, dtype)
        self.threshold = threshold

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return per_example((y_pred > self.threshold) == y_true.reshape(y_pred.shape))


class SparseCategoricalAccuracy(MeanMetric):
    """How often the largest prediction is that of the integer label."""

    direction = "up"

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        guess = self._scratch.rows("guess", len(y_pred), y_pred.shape[1:-1], np.dtype(np.intp))
        np.argmax(y_pred, axis=-1, out=guess)
        matches = self._scratch.like("matches", guess, np.dtype(bool))
        np.equal(guess, y_true.reshape(guess.shape), out=matches)
        return per_example(matches)


class CategoricalAccuracy(MeanMetric):
    """How often the largest prediction is where the target is largest."""

    direction = "up"

    def __init__(self, name: str = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return per_example(np.argmax(y_pred, axis=-1) == np.argmax(y_true, axis=-1))


class SparseTopKCategoricalAccuracy(MeanMetric):
    """How often the integer label is among the `k` largest predictions."""

    direction = "up"

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(name, dtype)
        if from_sorted_ids:
            raise ConfigError(f"{type(self).__name__} takes scores. Received: from_sorted_ids=True.")
        if k < 1:
            raise ConfigError(f"{type(self).__name__} expects k >= 1. Received: k={k}.")
        self.k = k

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return per_example(self._in_top_k(y_true.astype(np.intp).reshape(y_pred.shape[:-1]), y_pred))

    def _in_top_k(self, labels: Array, y_pred: Array) -> Array:
        at_label = np.take_along_axis(y_pred, labels[..., None], axis=-1)
        matches: Array = np.count_nonzero(y_pred > at_label, axis=-1) < self.k
        return matches


class TopKCategoricalAccuracy(SparseTopKCategoricalAccuracy):
    """How often the largest target is among the `k` largest predictions."""

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(k, name, dtype)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return per_example(self._in_top_k(np.argmax(y_true, axis=-1), y_pred))
