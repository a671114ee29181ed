"""Rescaling: `x * scale + offset`."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ShapeError
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey


class Rescaling(Layer):
    """`x * scale + offset`, such as `Rescaling(1 / 255)` for images.

    Args:
        scale: factor: a number, or one for each feature.
        offset: likewise.
        kwargs: see `Layer`.

    Raises:
        ShapeError: factors that do not fit the inputs, when the layer is built.
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = np.asarray(scale, np.float64), np.asarray(offset, np.float64)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        for name, factor in (("scale", self.scale), ("offset", self.offset)):
            try:
                fits = np.broadcast_shapes(input_shape, factor.shape) == input_shape
            except ValueError:
                fits = False
            if not fits:
                raise ShapeError(
                    f"Rescaling '{self.name}' expects {name} as a number, or for each feature of "
                    f"{(None, *input_shape)}. Received: shape {factor.shape}."
                )
        return input_shape

    def prepare(self, input_shape: Shape, dtype: np.dtype[Any], seed: int) -> None:
        super().prepare(input_shape, dtype, seed)
        self._scale, self._offset = self.scale.astype(dtype), self.offset.astype(dtype)

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        y = self._scratch.like("y", x)
        np.multiply(x, self._scale, out=y)
        y += self._offset
        return y

    def backward(self, d_y: Array) -> Array:
        d_y *= self._scale
        return d_y

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"scale": self.scale.tolist(), "offset": self.offset.tolist()}
