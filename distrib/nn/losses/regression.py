"""Losses of regression: mean squared and mean absolute error."""

from __future__ import annotations

import numpy as np

from distrib.base.arrays import Array
from distrib.nn.losses.loss import Loss, elements_per_example


class MeanSquaredError(Loss):
    """Mean of `(y_true - y_pred) ** 2`."""

    def __init__(self) -> None:
        super().__init__()

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

    def __init__(self) -> None:
        super().__init__()

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
