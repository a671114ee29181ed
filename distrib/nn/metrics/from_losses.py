"""Losses as metrics: the mean of a loss over the examples."""

from __future__ import annotations

import math
from typing import Any, Literal, Self

import numpy as np

from distrib.base.arrays import Array
from distrib.nn import losses
from distrib.nn.metrics.mean import MeanMetric


class LossMetric(MeanMetric):
    """The mean of a loss.

    Args:
        loss: the loss.
        name: see `Metric`.
        dtype: see `Metric`.
    """

    direction: Literal["up", "down"] | None = "down"

    def __init__(self, loss: losses.Loss, name: str, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self._loss = loss

    def values(self, y_true: Array, y_pred: Array) -> Array:
        if y_pred.dtype.kind != "f":
            y_pred = y_pred.astype(np.float32)
        return self._loss.forward(self._loss.prepare(y_true, y_pred.shape[1:], y_pred.dtype), y_pred)

    def twin(self) -> Self:
        twin = super().twin()
        twin._loss = self._loss.twin()
        return twin


class CosineSimilarity(LossMetric):
    """The cosine of the angle between target and prediction along an axis, the last one."""

    direction = "up"

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(losses.CosineSimilarity(axis=axis), name, dtype)
        self.axis = axis

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return -super().values(y_true, y_pred)


class RootMeanSquaredError(LossMetric):
    """The square root of the mean squared error."""

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(losses.MeanSquaredError(), name, dtype)

    def current(self) -> float:
        return math.sqrt(super().current())


class BinaryCrossentropy(LossMetric):
    """The mean of `losses.BinaryCrossentropy`."""

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(
            losses.BinaryCrossentropy(from_logits=from_logits, label_smoothing=label_smoothing), name, dtype
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing


class CategoricalCrossentropy(LossMetric):
    """The mean of `losses.CategoricalCrossentropy`."""

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.CategoricalCrossentropy(
                from_logits=from_logits, label_smoothing=label_smoothing, axis=axis
            ),
            name,
            dtype,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


class CategoricalHinge(LossMetric):
    """The mean of `losses.CategoricalHinge`."""

    def __init__(self, name: str = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(losses.CategoricalHinge(), name, dtype)


class Hinge(LossMetric):
    """The mean of `losses.Hinge`."""

    def __init__(self, name: str = "hinge", dtype: Any = None) -> None:
        super().__init__(losses.Hinge(), name, dtype)


class KLDivergence(LossMetric):
    """The mean of `losses.KLDivergence`."""

    def __init__(self, name: str = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(losses.KLDivergence(), name, dtype)


class LogCoshError(LossMetric):
    """The mean of `losses.LogCosh`."""

    def __init__(self, name: str = "logcosh", dtype: Any = None) -> None:
        super().__init__(losses.LogCosh(), name, dtype)


class MeanAbsoluteError(LossMetric):
    """The mean of `losses.MeanAbsoluteError`."""

    def __init__(self, name: str = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(losses.MeanAbsoluteError(), name, dtype)


class MeanAbsolutePercentageError(LossMetric):
    """The mean of `losses.MeanAbsolutePercentageError`."""

    def __init__(self, name: str = "mean_absolute_percentage_error", dtype: Any = None) -> None:
        super().__init__(losses.MeanAbsolutePercentageError(), name, dtype)


class MeanSquaredError(LossMetric):
    """The mean of `losses.MeanSquaredError`."""

    def __init__(self, name: str = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(losses.MeanSquaredError(), name, dtype)


class MeanSquaredLogarithmicError(LossMetric):
    """The mean of `losses.MeanSquaredLogarithmicError`."""

    def __init__(self, name: str = "mean_squared_logarithmic_error", dtype: Any = None) -> None:
        super().__init__(losses.MeanSquaredLogarithmicError(), name, dtype)


class Poisson(LossMetric):
    """The mean of `losses.Poisson`."""

    def __init__(self, name: str = "poisson", dtype: Any = None) -> None:
        super().__init__(losses.Poisson(), name, dtype)


class SparseCategoricalCrossentropy(LossMetric):
    """The mean of `losses.SparseCategoricalCrossentropy`."""

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.SparseCategoricalCrossentropy(
                from_logits=from_logits, ignore_class=ignore_class, axis=axis
            ),
            name,
            dtype,
        )
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis


class SquaredHinge(LossMetric):
    """The mean of `losses.SquaredHinge`."""

    def __init__(self, name: str = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(losses.SquaredHinge(), name, dtype)
