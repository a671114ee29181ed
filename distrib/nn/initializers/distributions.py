"""Initializers that draw from one distribution whatever the shape, and random orthogonal matrices."""

from __future__ import annotations

import math

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError
from distrib.nn.initializers.initializer import Initializer


class RandomNormal(Initializer):
    """Normal distribution."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        return rng.normal(self.mean, self.stddev, shape)


class RandomUniform(Initializer):
    """Uniform distribution over [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        return rng.uniform(self.minval, self.maxval, shape)


class TruncatedNormal(Initializer):
    """Normal distribution whose values further than two standard deviations from the mean are drawn again."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        values = rng.normal(0.0, 1.0, shape)
        while (outside := np.abs(values) > 2.0).any():
            values[outside] = rng.normal(0.0, 1.0, int(np.count_nonzero(outside)))
        return self.mean + self.stddev * values


class Orthogonal(Initializer):
    """A matrix with orthonormal rows or columns, times `gain` (Saxe et al., 2014).

    It is the Q of the QR decomposition of a matrix of normal numbers, with the signs that make it unique. A
    variable of more axes is drawn as a matrix with its last size as the number of columns.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        if len(shape) < 2:
            raise ConfigError(f"Orthogonal expects a shape of at least two sizes. Received: {shape}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
        q *= np.where(np.diag(r) < 0, -1.0, 1.0)
        matrix = q if rows >= columns else q.T
        return self.gain * np.ascontiguousarray(matrix).reshape(shape)
