"""Noise in training: added, or multiplied."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey, fill_uniform, uniform_columns


class _Noise(Layer):
    """Draws a normal number for each element while training; the same ones on any number of replicas."""

    draws_random_numbers = True

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self._noise: Array | None = None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def _normal(self, x: Array, draw: RngKey, stddev: float) -> Array:
        """Normal numbers of mean 0, by the method of Box and Muller (1958)."""
        if self.seed is not None:
            draw = RngKey(self.seed, draw.epoch, draw.position)
        features = math.prod(x.shape[1:])
        uniform = self._scratch.rows(
            "uniform", len(x), (uniform_columns(2 * features),), np.dtype(np.float32)
        )
        fill_uniform(uniform, draw, f"noise/{self.name}")
        radius = self._scratch.rows("radius", len(x), (features,), x.dtype)
        noise = self._scratch.rows("noise", len(x), (features,), x.dtype)
        np.negative(uniform[:, :features], out=radius)
        np.log1p(radius, out=radius)
        radius *= -2.0
        np.sqrt(radius, out=radius)
        np.multiply(uniform[:, features : 2 * features], 2.0 * math.pi, out=noise)
        np.cos(noise, out=noise)
        noise *= radius
        noise *= stddev
        return noise.reshape(x.shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"seed": self.seed}


class GaussianNoise(_Noise):
    """Adds normal noise of mean 0 while training.

    Args:
        stddev: standard deviation of the noise.
        seed: draws the same noise in every model.
        kwargs: see `Layer`.

    Raises:
        ConfigError: `stddev` outside of [0, 1].
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if not 0 <= stddev <= 1:
            raise ConfigError(f"GaussianNoise expects a stddev in [0, 1]. Received: stddev={stddev}.")
        self.stddev = stddev

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        if draw is None or self.stddev == 0:
            return x
        noise = self._normal(x, draw, self.stddev)
        noise += x
        return noise

    def backward(self, d_y: Array) -> Array:
        return d_y

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"stddev": self.stddev}


class GaussianDropout(_Noise):
    """Multiplies with normal noise of mean 1 and variance `rate / (1 - rate)` while training.

    Source: Srivastava et al., 2014.

    Args:
        rate: as of a `Dropout` of the same variance.
        seed: draws the same noise in every model.
        kwargs: see `Layer`.

    Raises:
        ConfigError: `rate` outside of [0, 1).
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if not 0 <= rate < 1:
            raise ConfigError(f"GaussianDropout expects a rate in [0, 1). Received: rate={rate}.")
        self.rate = rate

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        self._noise = None
        if draw is None or self.rate == 0:
            return x
        self._noise = self._normal(x, draw, math.sqrt(self.rate / (1.0 - self.rate)))
        self._noise += 1.0
        y = self._scratch.like("y", x)
        np.multiply(x, self._noise, out=y)
        return y

    def backward(self, d_y: Array) -> Array:
        if self._noise is not None:
            d_y *= self._noise
        return d_y

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate}
