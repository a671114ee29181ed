"""Softmax: functions of every row, which make positive numbers that sum to 1 of it, or their logarithms."""

from __future__ import annotations

import numpy as np

from distrib.base.arrays import Array
from distrib.nn.activations.activation import Activation


class Softmax(Activation):
    """`exp(x) / sum(exp(x))` over the last axis."""

    def forward(self, x: Array, y: Array) -> None:
        row = self._scratch.rows("row", len(x), (*x.shape[1:-1], 1), x.dtype)
        np.max(x, axis=-1, keepdims=True, out=row)
        np.subtract(x, row, out=y)
        np.exp(y, out=y)
        np.sum(y, axis=-1, keepdims=True, out=row)
        y /= row

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        row = self._scratch.rows("row", len(y), (*y.shape[1:-1], 1), y.dtype)
        product = self._scratch.like("product", y)
        np.multiply(d_y, y, out=product)
        np.sum(product, axis=-1, keepdims=True, out=row)
        d_y -= row
        d_y *= y


class LogSoftmax(Activation):
    """`x - log(sum(exp(x)))` over the last axis."""

    def forward(self, x: Array, y: Array) -> None:
        row = self._scratch.rows("row", len(x), (*x.shape[1:-1], 1), x.dtype)
        np.max(x, axis=-1, keepdims=True, out=row)
        np.subtract(x, row, out=y)
        exp = self._scratch.like("exp", x)
        np.exp(y, out=exp)
        np.sum(exp, axis=-1, keepdims=True, out=row)
        np.log(row, out=row)
        y -= row

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        row = self._scratch.rows("row", len(y), (*y.shape[1:-1], 1), y.dtype)
        np.sum(d_y, axis=-1, keepdims=True, out=row)
        product = self._scratch.like("exp", y)
        np.exp(y, out=product)
        product *= row
        d_y -= product


class Sparsemax(Activation):
    """The nearest point of the simplex over the last axis (Martins and Astudillo, 2016): many elements are 0."""

    def forward(self, x: Array, y: Array) -> None:
        count = np.arange(1, x.shape[-1] + 1)
        falling = -np.sort(-x, axis=-1)
        sums = np.cumsum(falling, axis=-1)
        inside = 1 + count * falling > sums
        largest = np.maximum(np.count_nonzero(inside, axis=-1, keepdims=True), 1)
        threshold = (np.take_along_axis(sums, largest - 1, axis=-1) - 1) / largest
        np.subtract(x, threshold, out=y)
        np.maximum(y, 0, out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        inside = y > 0
        d_y *= inside
        count = np.maximum(np.count_nonzero(inside, axis=-1, keepdims=True), 1)
        d_y -= inside * (np.sum(d_y, axis=-1, keepdims=True) / count)
