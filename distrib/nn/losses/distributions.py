"""Losses between distributions: Kullback-Leibler divergence, and that of a Poisson distribution."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.nn.losses.loss import EPSILON, Loss, elements_per_example


class KLDivergence(Loss):
    """`sum(y_true * log(y_true / y_pred))` over the last axis, of values clipped to [1e-7, 1]."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "kl_divergence", dtype: Any = None
    ) -> None:
        super().__init__(False, reduction, name, dtype)

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        true, pred = self._clipped(y_true, y_pred)
        np.divide(true, pred, out=pred)
        np.log(pred, out=pred)
        pred *= true
        rows = self._scratch.rows("rows", len(pred), pred.shape[1:-1], pred.dtype)
        np.sum(pred, axis=-1, out=rows)
        return self._values(rows)

    def _clipped(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        true, pred = self._scratch.like("true", y_pred), self._scratch.like("pred", y_pred)
        np.clip(y_true, EPSILON, 1.0, out=true)
        np.clip(y_pred, EPSILON, 1.0, out=pred)
        return true, pred

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        d_y = self._scratch.like("d_y", y_pred)
        true, pred = self._clipped(y_true, y_pred)
        np.divide(true, pred, out=d_y)
        inside = self._scratch.like("inside", y_pred, np.dtype(bool))
        np.equal(pred, y_pred, out=inside)
        d_y *= inside
        d_y *= -y_pred.shape[-1] / elements_per_example(y_pred)
        return d_y


class Poisson(Loss):
    """Mean of `y_pred - y_true * log(y_pred + 1e-7)`."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "poisson", dtype: Any = None
    ) -> None:
        super().__init__(False, reduction, name, dtype)

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        elements = self._scratch.like("elements", y_pred)
        np.add(y_pred, EPSILON, out=elements)
        np.log(elements, out=elements)
        elements *= y_true
        np.subtract(y_pred, elements, out=elements)
        return self._values(elements)

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        d_y = self._scratch.like("d_y", y_pred)
        np.add(y_pred, EPSILON, out=d_y)
        np.divide(y_true, d_y, out=d_y)
        np.subtract(1.0, d_y, out=d_y)
        d_y *= 1.0 / elements_per_example(y_pred)
        return d_y
