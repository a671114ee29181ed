"""Masking: sets steps to 0 that hold a mask value in all features."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ShapeError
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey


class Masking(Layer):
    """Steps of `(batch, steps, features)` whose features all equal `mask_value` become 0.

    There are no layers yet that would skip these steps.

    Args:
        mask_value: the value.
        kwargs: see `Layer`.

    Raises:
        ShapeError: examples of less than two axes, when the layer is built.
    """

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_value = mask_value

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) < 2:
            raise ShapeError(
                f"Masking '{self.name}' expects (batch, steps, features). Received: {input_shape}."
            )
        return input_shape

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        differs = self._scratch.like("differs", x, np.dtype(bool))
        np.not_equal(x, self.mask_value, out=differs)
        self._kept = self._scratch.rows("kept", len(x), (*x.shape[1:-1], 1), np.dtype(bool))
        np.any(differs, axis=-1, keepdims=True, out=self._kept)
        y = self._scratch.like("y", x)
        np.multiply(x, self._kept, out=y)
        return y

    def backward(self, d_y: Array) -> Array:
        d_y *= self._kept
        return d_y

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"mask_value": self.mask_value}
