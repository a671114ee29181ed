"""UnitNormalization: vectors of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey

_EPSILON = 1e-12


class UnitNormalization(Layer):
    """`x / ||x||`, with the Euclidean norm over some axes.

    Args:
        axis: the axes, counted with the batch.
        kwargs: see `Layer`.
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def _sum(self, product: Array) -> Array:
        total: Array = np.sum(product, axis=tuple(np.atleast_1d(self.axis)), keepdims=True)
        return total

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        y, product = self._scratch.like("y", x), self._scratch.like("product", x)
        np.multiply(x, x, out=product)
        self._norm = np.sqrt(np.maximum(self._sum(product), _EPSILON))
        np.divide(x, self._norm, out=y)
        self._y = y
        return y

    def backward(self, d_y: Array) -> Array:
        product = self._scratch.like("product", d_y)
        np.multiply(d_y, self._y, out=product)
        along = self._sum(product)
        np.multiply(self._y, along, out=product)
        d_y -= product
        d_y /= self._norm
        return d_y

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis if isinstance(self.axis, int) else list(self.axis)}
