"""Reshape: the same elements in another shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError, ShapeError
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey


class Reshape(Layer):
    """`(batch, *shape)` -> `(batch, *target_shape)`, without a copy.

    Args:
        target_shape: shape of one example; one size may be -1, and is what is left.
        kwargs: see `Layer`.

    Raises:
        ConfigError: more than one -1.
        ShapeError: another number of elements, when the layer is built.
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(int(size) for size in target_shape)
        if self.target_shape.count(-1) > 1:
            raise ConfigError(f"Reshape expects one -1 at most. Received: target_shape={self.target_shape}.")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        size = math.prod(input_shape)
        known = math.prod(each for each in self.target_shape if each != -1)
        shape = tuple(size // max(known, 1) if each == -1 else each for each in self.target_shape)
        if math.prod(shape) != size:
            raise ShapeError(
                f"Reshape '{self.name}' expects examples of as many elements as {self.target_shape}. "
                f"Received: {input_shape}."
            )
        return shape

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        return x.reshape(len(x), *self.output_shape)

    def backward(self, d_y: Array) -> Array:
        return d_y.reshape(len(d_y), *self.input_shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"target_shape": list(self.target_shape)}
