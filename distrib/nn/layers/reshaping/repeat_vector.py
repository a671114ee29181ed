"""RepeatVector: the same vector several times."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError, ShapeError
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey


class RepeatVector(Layer):
    """`(batch, features)` -> `(batch, n, features)`.

    Args:
        n: how often.
        kwargs: see `Layer`.

    Raises:
        ConfigError: `n` below 1.
        ShapeError: examples that are no vectors, when the layer is built.
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if n < 1:
            raise ConfigError(f"RepeatVector expects n >= 1. Received: n={n}.")
        self.n = int(n)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != 1:
            raise ShapeError(f"RepeatVector '{self.name}' expects vectors. Received: {input_shape}.")
        return (self.n, *input_shape)

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        y = self._scratch.rows("y", len(x), self.output_shape, x.dtype)
        np.copyto(y, x[:, None, :])
        return y

    def backward(self, d_y: Array) -> Array:
        d_x = self._scratch.rows("d_x", len(d_y), self.input_shape, d_y.dtype)
        np.sum(d_y, axis=1, out=d_x)
        return d_x

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"n": self.n}
