"""Rescaling: `x * scale + offset`."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey


class Rescaling(Layer):
    """`x * scale + offset`, such as `Rescaling(1 / 255)` for images.

    Args:
        scale: factor: a number, or one for each feature.
        offset: likewise.
        kwargs: see `Layer`.
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = np.asarray(scale, np.float64), np.asarray(offset, np.float64)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        np.broadcast_shapes(input_shape, self.scale.shape, self.offset.shape)
        return input_shape

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        y = self._scratch.like("y", x)
        np.multiply(x, self.scale.astype(x.dtype), out=y)
        y += self.offset.astype(x.dtype)
        return y

    def backward(self, d_y: Array) -> Array:
        d_y *= self.scale.astype(d_y.dtype)
        return d_y

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"scale": self.scale.tolist(), "offset": self.offset.tolist()}
