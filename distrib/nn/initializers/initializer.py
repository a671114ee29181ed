"""Initializer: the base class of what draws the first values of variables.

Each variable draws from a stream of its own, named by (seed, variable name), so every replica starts equal and
adding a layer does not change the values of the others.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.base.arguments import HasArguments
from distrib.base.arrays import Array, Shape
from distrib.base.errors import ShapeError
from distrib.nn.custom_objects import get_registered_name
from distrib.nn.rng import generator


class Initializer(HasArguments):
    """Draws the first value of a variable.

    Args:
        seed: fixes the values whatever the model's seed is.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def __call__(self, shape: Shape, dtype: Any = "float32", *, seed: int = 0, name: str = "") -> Array:
        """An array of `shape` and `dtype`; the same for the same (seed, name)."""
        rng = generator("initializer", seed if self.seed is None else self.seed, name)
        return self.draw(rng, shape).astype(dtype)

    @abstractmethod
    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        """Float64 values of `shape`."""

    def get_config(self) -> dict[str, Any]:
        """The arguments of this initializer, as JSON values."""
        return dict(vars(self))


class FunctionInitializer(Initializer):
    """A function of one's own, `function(shape, dtype=...)`. What it draws, it draws alike on every replica.

    Args:
        function: returns an array, or what can be made one.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function

    def __call__(self, shape: Shape, dtype: Any = "float32", *, seed: int = 0, name: str = "") -> Array:
        value = np.array(self._function(shape, dtype=dtype), dtype)
        if value.shape != tuple(shape):
            raise ShapeError(
                f"The initializer of {name} returns shape {tuple(shape)}. Received: {value.shape}."
            )
        return value

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        return self(shape, "float64")

    def get_config(self) -> dict[str, Any]:
        """The name of the function: registered, or in `custom_objects`, it is found again."""
        named = self._function if hasattr(self._function, "__name__") else type(self._function)
        return {"class": get_registered_name(named)}
