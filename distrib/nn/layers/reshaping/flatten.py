"""Flatten: one vector per example."""

from __future__ import annotations

import math

from distrib.base.arrays import Array, Shape
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey


class Flatten(Layer):
    """`(batch, *shape)` -> `(batch, prod(shape))`, without a copy.

    Args:
        input_shape: shape of one example, when this is the first layer.
        name: name of the layer.
    """

    def __init__(self, input_shape: Shape | None = None, name: str | None = None) -> None:
        super().__init__(name=name, input_shape=input_shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (math.prod(input_shape),)

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        return x.reshape(len(x), *self.output_shape)

    def backward(self, d_y: Array) -> Array:
        return d_y.reshape(len(d_y), *self.input_shape)
