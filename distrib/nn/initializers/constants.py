"""Initializers that draw nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError
from distrib.nn.initializers.initializer import Initializer


class Constant(Initializer):
    """Every element is `value`."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.value = value

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        return np.full(shape, self.value, dtype=np.float64)


class Zeros(Constant):
    """Every element is 0."""

    def __init__(self) -> None:
        super().__init__(0.0)


class Ones(Constant):
    """Every element is 1."""

    def __init__(self) -> None:
        super().__init__(1.0)


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, else 0."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        if len(shape) != 2:
            raise ConfigError(f"Identity expects the shape of a matrix. Received: {shape}.")
        return self.gain * np.eye(*shape)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}
