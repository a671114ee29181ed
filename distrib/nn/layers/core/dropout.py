"""Dropout: the masks depend on the example, not on the replica that computes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
        rate: share to drop, in [0, 1].
        noise_shape: shape of the mask, with None where it is that of the input, and 1 along axes whose elements are
            dropped together. The first is that of the batch: None.
        seed: fixes the masks whatever the model's seed is.
        kwargs: see `Layer`.

    Raises:
        ConfigError: `rate` outside of [0, 1], or one mask for all examples.
    """

    draws_random_numbers = True

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ConfigError(f"Dropout expects a rate in [0, 1]. Received: rate={rate}.")
        if noise_shape is not None and noise_shape[0] == 1:
            raise ConfigError(
                "Dropout draws for each example by itself: noise_shape begins with None. "
                f"Received: noise_shape={noise_shape}."
            )
        self.noise_shape = None if noise_shape is None else list(noise_shape)
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
        shape = self._noise_shape(x.shape[1:])
        features = math.prod(shape)
        uniform = self._scratch.rows("uniform", len(x), (uniform_columns(features),), np.dtype(np.float32))
        fill_uniform(uniform, draw, f"dropout/{self.name}")
        keep = self._scratch.rows("keep", len(x), (features,), np.dtype(bool))
        np.greater_equal(uniform[:, :features], np.float32(self.rate), out=keep)
        self._keep = keep.reshape(len(x), *shape)
        y = self._scratch.like("y", x)
        self._drop(x, self._keep, y)
        return y

    def backward(self, d_y: Array) -> Array:
        if self._keep is not None:
            self._drop(d_y, self._keep, d_y)
        return d_y

    def form(self) -> Callable[..., Any]:
        keep, scale = self._keep, 1.0 if self.rate == 1 else 1.0 / (1.0 - self.rate)
        return (lambda x: x) if keep is None else lambda x: x * keep * scale

    def _drop(self, x: Array, keep: Array, y: Array) -> None:
        np.multiply(x, keep, out=y)
        if self.rate < 1:
            y *= 1.0 / (1.0 - self.rate)

    def _noise_shape(self, shape: Shape) -> Shape:
        """Shape of what is drawn for one example."""
        if self.noise_shape is None:
            return shape
        given = zip(self.noise_shape[1:], shape, strict=True)
        return tuple(size if each is None else each for each, size in given)

    def get_config(self) -> dict[str, Any]:
        shape = {} if self.noise_shape is None else {"noise_shape": self.noise_shape}
        return super().get_config() | {"rate": self.rate, "seed": self.seed} | shape
