"""Identity: its input."""

from __future__ import annotations

from typing import Any

from distrib.base.arrays import Array, Shape
from distrib.nn.layers.layer import Layer
from distrib.nn.regularizers import L1L2
from distrib.nn.rng import RngKey


class Identity(Layer):
    """Returns its input."""

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        return x

    def backward(self, d_y: Array) -> Array:
        return d_y


class ActivityRegularization(Identity):
    """Returns its input, and adds a penalty on it to the loss: the mean over the examples.

    Args:
        l1: factor of the sum of absolute values.
        l2: factor of the sum of squares.
        kwargs: see `Layer`.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=L1L2(l1, l2), **kwargs)
        self.l1, self.l2 = l1, l2

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"l1": self.l1, "l2": self.l2}
