"""Activation as a layer of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.nn import activations
from distrib.nn.layers.activated_layer import ActivatedLayer


class Activation(ActivatedLayer):
    """Applies an activation function.

    Args:
        activation: name, such as `"relu"`, or an instance from `distrib.activations`.
        name: name of the layer.
        input_shape: shape of one example, when this is the first layer.
    """

    def __init__(
        self,
        activation: str | activations.Activation,
        name: str | None = None,
        input_shape: Shape | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.activation = activations.get(activation)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def linear(self, x: Array) -> Array:
        z = self._scratch.like("z", x)
        np.copyto(z, x)
        return z

    def linear_backward(self, d_z: Array) -> Array:
        return d_z

    def get_config(self) -> dict[str, Any]:
        activation = {"class": type(self.activation).__name__, **self.activation.get_config()}
        return super().get_config() | {"activation": activation}
