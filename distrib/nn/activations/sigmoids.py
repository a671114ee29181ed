"""Sigmoids: functions that rise from one bound to another, and what is made of them."""

from __future__ import annotations

import numpy as np

from distrib.base.arrays import Array
from distrib.nn.activations.activation import Activation
from distrib.nn.workspace import Workspace


class Tanh(Activation):
    """Hyperbolic tangent."""

    def forward(self, x: Array, y: Array) -> None:
        np.tanh(x, out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        slope = self._scratch.like("slope", y)
        np.multiply(y, y, out=slope)
        np.subtract(1, slope, out=slope)
        d_y *= slope


class Sigmoid(Activation):
    """`1 / (1 + exp(-x))`, computed as `(1 + tanh(x / 2)) / 2`, which cannot overflow."""

    def forward(self, x: Array, y: Array) -> None:
        np.multiply(x, 0.5, out=y)
        np.tanh(y, out=y)
        y += 1
        y *= 0.5

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        slope = self._scratch.like("slope", y)
        np.subtract(1, y, out=slope)
        slope *= y
        d_y *= slope


class HardSigmoid(Activation):
    """`min(max(x / 6 + 1 / 2, 0), 1)`."""

    def forward(self, x: Array, y: Array) -> None:
        np.multiply(x, 1.0 / 6.0, out=y)
        y += 0.5
        np.clip(y, 0, 1, out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        d_y *= _strictly_between(self._scratch, y, 0, 1)
        d_y *= 1.0 / 6.0


class SparseSigmoid(Activation):
    """`min(max((x + 1) / 2, 0), 1)`."""

    def forward(self, x: Array, y: Array) -> None:
        np.multiply(x, 0.5, out=y)
        y += 0.5
        np.clip(y, 0, 1, out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        d_y *= _strictly_between(self._scratch, y, 0, 1)
        d_y *= 0.5


class HardTanh(Activation):
    """x, at least -1 and at most 1."""

    def forward(self, x: Array, y: Array) -> None:
        np.clip(x, -1, 1, out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        d_y *= _strictly_between(self._scratch, y, -1, 1)


class Softsign(Activation):
    """`x / (|x| + 1)`."""

    def forward(self, x: Array, y: Array) -> None:
        size = self._scratch.like("size", x)
        np.abs(x, out=size)
        size += 1
        np.divide(x, size, out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        slope = self._scratch.like("size", y)  # 1 / (|x| + 1) is 1 - |y|
        np.abs(y, out=slope)
        np.subtract(1, slope, out=slope)
        d_y *= slope
        d_y *= slope


class TanhShrink(Activation):
    """`x - tanh(x)`."""

    needs_input = True

    def forward(self, x: Array, y: Array) -> None:
        np.tanh(x, out=y)
        np.subtract(x, y, out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        slope = self._scratch.like("slope", x)
        np.tanh(x, out=slope)
        slope *= slope
        d_y *= slope


def _strictly_between(scratch: Workspace, y: Array, low: float, high: float) -> Array:
    inside = scratch.like("inside", y, np.dtype(bool))
    below = scratch.like("below", y, np.dtype(bool))
    np.greater(y, low, out=inside)
    np.less(y, high, out=below)
    inside &= below
    return inside
