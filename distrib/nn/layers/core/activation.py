"""Activation as a layer of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.nn import activations
from distrib.nn.layers.activated_layer import ActivatedLayer


class Activation(ActivatedLayer):
    """Applies an activation function.

    Args:
        activation: name, such as `"relu"`, or an instance or function from `distrib.activations`.
        kwargs: see `Layer`.
    """

    def __init__(
        self,
        activation: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def linear(self, x: Array) -> Array:
        z = self._scratch.like("z", x)
        np.copyto(z, x)
        return z

    def linear_backward(self, d_z: Array) -> Array:
        return d_z

    def linear_form(self) -> Callable[..., Any]:
        return lambda x: x

    def get_config(self) -> dict[str, Any]:
        activation = {"class": type(self.activation).__name__, **self.activation.get_config()}
        return super().get_config() | {"activation": activation}
