"""Input: declares the shape of one example. The batch dimension stays unknown."""

from __future__ import annotations

from collections.abc import Sequence

from distrib.base.arrays import Array, Shape
from distrib.nn.layers.layer import Layer, check_shape
from distrib.nn.rng import RngKey


class Input(Layer):
    """The first entry of a `Sequential`: `Input((784,))`.

    Args:
        shape: shape of one example, without the batch.
        name: name of the layer.
    """

    def __init__(self, shape: Sequence[int], name: str | None = None) -> None:
        super().__init__(name=name, input_shape=check_shape(shape))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        return x

    def backward(self, d_y: Array) -> Array:
        return d_y
