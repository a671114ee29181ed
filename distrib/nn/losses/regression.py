"""Losses of regression: of differences between targets and predictions, and of their directions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.losses.loss import EPSILON, Loss, elements_per_example


class MeanSquaredError(Loss):
    """Mean of `(y_true - y_pred) ** 2`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(False, reduction, name, dtype)

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        squared = self._scratch.like("squared", y_pred)
        np.subtract(y_pred, y_true, out=squared)
        np.multiply(squared, squared, out=squared)
        return self._values(squared)

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        d_y = self._scratch.like("d_y", y_pred)
        np.subtract(y_pred, y_true, out=d_y)
        d_y *= 2.0 / elements_per_example(y_pred)
        return d_y


class MeanAbsoluteError(Loss):
    """Mean of `|y_true - y_pred|`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(False, reduction, name, dtype)

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        distance = self._scratch.like("distance", y_pred)
        np.subtract(y_pred, y_true, out=distance)
        np.abs(distance, out=distance)
        return self._values(distance)

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        d_y = self._scratch.like("d_y", y_pred)
        np.subtract(y_pred, y_true, out=d_y)
        np.sign(d_y, out=d_y)
        d_y *= 1.0 / elements_per_example(y_pred)
        return d_y


class MeanAbsolutePercentageError(Loss):
    """Mean of `100 |y_true - y_pred| / max(|y_true|, 1e-7)`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_percentage_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(False, reduction, name, dtype)

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        share = self._scratch.like("share", y_pred)
        np.subtract(y_pred, y_true, out=share)
        np.abs(share, out=share)
        share /= self._size(y_true)
        share *= 100.0
        return self._values(share)

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        d_y = self._scratch.like("d_y", y_pred)
        np.subtract(y_pred, y_true, out=d_y)
        np.sign(d_y, out=d_y)
        d_y /= self._size(y_true)
        d_y *= 100.0 / elements_per_example(y_pred)
        return d_y

    def _size(self, y_true: Array) -> Array:
        size = self._scratch.like("size", y_true)
        np.abs(y_true, out=size)
        np.maximum(size, EPSILON, out=size)
        return size


class MeanSquaredLogarithmicError(Loss):
    """Mean of `(log(y_true + 1) - log(y_pred + 1)) ** 2`, for values that are at least 1e-7; others count as 1e-7."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(False, reduction, name, dtype)

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        squared = self._scratch.like("squared", y_pred)
        np.subtract(self._log("log_pred", y_pred), self._log("log_true", y_true), out=squared)
        np.multiply(squared, squared, out=squared)
        return self._values(squared)

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        d_y, above = self._scratch.like("d_y", y_pred), self._scratch.like("log_true", y_true)
        np.subtract(self._log("log_pred", y_pred), self._log("log_true", y_true), out=d_y)
        np.maximum(y_pred, EPSILON, out=above)
        above += 1.0
        d_y /= above
        np.copyto(d_y, 0, where=y_pred < EPSILON)
        d_y *= 2.0 / elements_per_example(y_pred)
        return d_y

    def _log(self, name: str, values: Array) -> Array:
        log = self._scratch.like(name, values)
        np.maximum(values, EPSILON, out=log)
        np.log1p(log, out=log)
        return log


class Huber(Loss):
    """Mean of `e ** 2 / 2` where `|e| <= delta`, and of `delta |e| - delta ** 2 / 2` elsewhere (Huber, 1964).

    Args:
        delta: where the parabola becomes a line, positive.
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(False, reduction, name, dtype)
        if not delta > 0:
            raise ConfigError(f"Huber expects delta > 0. Received: {delta}.")
        self.delta = delta

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        # With c = clip(e, -delta, delta) both branches are c (e - c / 2).
        clipped, elements = self._clipped(y_true, y_pred)
        np.multiply(clipped, 0.5, out=(half := self._scratch.like("half", y_pred)))
        elements -= half
        elements *= clipped
        return self._values(elements)

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        d_y, _ = self._clipped(y_true, y_pred)
        d_y *= 1.0 / elements_per_example(y_pred)
        return d_y

    def _clipped(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        error, clipped = self._scratch.like("error", y_pred), self._scratch.like("clipped", y_pred)
        np.subtract(y_pred, y_true, out=error)
        np.clip(error, -self.delta, self.delta, out=clipped)
        return clipped, error


class LogCosh(Loss):
    """Mean of `log(cosh(y_pred - y_true))`: nearly a parabola for small errors and a line for large ones."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "log_cosh", dtype: Any = None
    ) -> None:
        super().__init__(False, reduction, name, dtype)

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        # log(cosh(e)) = |e| + log(1 + exp(-2 |e|)) - log(2), which does not overflow
        error, elements = self._scratch.like("error", y_pred), self._scratch.like("elements", y_pred)
        np.subtract(y_pred, y_true, out=error)
        np.abs(error, out=error)
        np.multiply(error, -2.0, out=elements)
        np.exp(elements, out=elements)
        np.log1p(elements, out=elements)
        elements += error
        elements -= math.log(2.0)
        return self._values(elements)

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        d_y = self._scratch.like("d_y", y_pred)
        np.subtract(y_pred, y_true, out=d_y)
        np.tanh(d_y, out=d_y)
        d_y *= 1.0 / elements_per_example(y_pred)
        return d_y


class CosineSimilarity(Loss):
    """The negative cosine of the angle between target and prediction, vectors along the last axis."""

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(False, reduction, name, dtype, axis)

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        cosine, _, _ = self._parts(y_true, y_pred)
        np.negative(cosine, out=cosine)
        return self._values(cosine[..., 0])

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        cosine, true, length = self._parts(y_true, y_pred)
        d_y = self._scratch.like("d_y", y_pred)
        np.divide(y_pred, length, out=d_y)
        d_y *= cosine
        d_y -= true
        d_y /= length
        d_y *= y_pred.shape[-1] / elements_per_example(y_pred)
        return d_y

    def _parts(self, y_true: Array, y_pred: Array) -> tuple[Array, Array, Array]:
        """The cosines, the directions of the targets, and the lengths of the predictions."""
        true = self._scratch.like("true", y_true)
        np.divide(y_true, self._lengths("true_length", y_true), out=true)
        length = self._lengths("length", y_pred)
        products = self._scratch.like("products", y_pred)
        np.multiply(true, y_pred, out=products)
        cosine = self._scratch.like("cosine", length)
        np.sum(products, axis=-1, keepdims=True, out=cosine)
        cosine /= length
        return cosine, true, length

    def _lengths(self, name: str, vectors: Array) -> Array:
        """Lengths along the last axis, at least 1e-12, in the scratch array `name`."""
        squares = self._scratch.like("products", vectors)
        np.multiply(vectors, vectors, out=squares)
        lengths = self._scratch.rows(name, len(vectors), (*vectors.shape[1:-1], 1), vectors.dtype)
        np.sum(squares, axis=-1, keepdims=True, out=lengths)
        np.maximum(lengths, 1e-24, out=lengths)
        np.sqrt(lengths, out=lengths)
        return lengths
