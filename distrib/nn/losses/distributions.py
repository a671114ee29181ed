"""Losses between distributions: Kullback-Leibler divergence, and that of a Poisson distribution."""

from __future__ import annotations

import numpy as np

from distrib.base.arrays import Array
from distrib.nn.losses.loss import EPSILON, Loss, elements_per_example


class KLDivergence(Loss):
    """`sum(y_true * log(y_true / y_pred))` over the last axis, of values clipped to [1e-7, 1]."""

    def __init__(self) -> None:
        super().__init__()

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        true, elements = self._true_and_ratio(y_true, y_pred)
        np.log(elements, out=elements)
        elements *= true
        sums = self._scratch.rows("sums", len(y_pred), y_pred.shape[1:-1], y_pred.dtype)
        np.sum(elements, axis=-1, out=sums)
        return self._values(sums)

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        _, d_y = self._true_and_ratio(y_true, y_pred)
        outside = self._scratch.like("outside", y_pred, np.dtype(bool))
        for compare, bound in ((np.less, EPSILON), (np.greater, 1.0)):
            compare(y_pred, bound, out=outside)
            np.copyto(d_y, 0, where=outside)
        d_y *= -y_pred.shape[-1] / elements_per_example(y_pred)
        return d_y

    def _true_and_ratio(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """The clipped targets, and they over the clipped predictions."""
        true = self._scratch.like("true", y_true)
        np.clip(y_true, EPSILON, 1.0, out=true)
        ratio = self._scratch.like("ratio", y_pred)
        np.clip(y_pred, EPSILON, 1.0, out=ratio)
        np.divide(true, ratio, out=ratio)
        return true, ratio


class Poisson(Loss):
    """Mean of `y_pred - y_true * log(y_pred + 1e-7)`."""

    def __init__(self) -> None:
        super().__init__()

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
