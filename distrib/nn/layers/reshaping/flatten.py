"""Flatten: one vector per example."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey


class Flatten(Layer):
    """`(batch, *shape)` -> `(batch, prod(shape))`, without a copy.

    Args:
        data_format: `"channels_last"`, or None.
        kwargs: see `Layer`.

    Raises:
        ConfigError: another format.
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if data_format not in (None, "channels_last"):
            raise ConfigError(f"Flatten supports data_format channels_last. Received: {data_format!r}.")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (math.prod(input_shape),)

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        return x.reshape(len(x), *self.output_shape)

    def form(self) -> Callable[..., Any]:
        return lambda x: np.reshape(x, (len(x), -1))

    def backward(self, d_y: Array) -> Array:
        return d_y.reshape(len(d_y), *self.input_shape)
