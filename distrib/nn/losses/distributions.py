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
        true, pred = (np.clip(each, EPSILON, 1.0) for each in (y_true, y_pred))
        return self._values(np.sum(true * np.log(true / pred), axis=-1))

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        d_y = self._scratch.like("d_y", y_pred)
        np.divide(np.clip(y_true, EPSILON, 1.0), np.clip(y_pred, EPSILON, 1.0), out=d_y)
        np.copyto(d_y, 0, where=(y_pred < EPSILON) | (y_pred > 1.0))
        d_y *= -y_pred.shape[-1] / elements_per_example(y_pred)
        return d_y


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
