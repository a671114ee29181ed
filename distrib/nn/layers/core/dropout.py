"""Dropout: the masks depend on the example, not on the replica that computes it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey, fill_uniform, uniform_columns


class Dropout(Layer):
    """Sets a random share of the inputs to zero while training and scales the others up (Srivastava et al., 2014).

    The mask of an example is a function of (seed, layer name, epoch, its position in the epoch).

    Args:
        rate: share to drop, in [0, 1).
        seed: fixes the masks whatever the model's seed is.
        name: name of the layer.
        input_shape: shape of one example, when this is the first layer.

    Raises:
        ConfigError: `rate` outside of [0, 1).
    """

    draws_random_numbers = True

    def __init__(
        self,
        rate: float,
        seed: int | None = None,
        name: str | None = None,
        input_shape: Shape | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        if not 0 <= rate < 1:
            raise ConfigError(f"Dropout expects a rate in [0, 1). Received: rate={rate}.")
        self.rate, self.seed = rate, seed
        self._keep: Array | None = None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        if draw is None or self.rate == 0:
            self._keep = None
            return x
        if self.seed is not None:
            draw = RngKey(self.seed, draw.epoch, draw.position)
        features = math.prod(self.input_shape)
        uniform = self._scratch.rows("uniform", len(x), (uniform_columns(features),), np.dtype(np.float32))
        fill_uniform(uniform, draw, f"dropout/{self.name}")
        keep = self._scratch.rows("keep", len(x), (features,), np.dtype(bool))
        np.greater_equal(uniform[:, :features], np.float32(self.rate), out=keep)
        self._keep = keep.reshape(x.shape)
        y = self._scratch.like("y", x)
        self._drop(x, self._keep, y)
        return y

    def backward(self, d_y: Array) -> Array:
        if self._keep is not None:
            self._drop(d_y, self._keep, d_y)
        return d_y

    def _drop(self, x: Array, keep: Array, y: Array) -> None:
        np.multiply(x, keep, out=y)
        y *= 1.0 / (1.0 - self.rate)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate, "seed": self.seed}
