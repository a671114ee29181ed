"""Activation functions with arguments, as layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError
from distrib.nn import activations
from distrib.nn.layers.activated_layer import ActivatedLayer


class _Function(ActivatedLayer):
    """Applies one activation function; subclasses set it."""

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
        return super().get_config() | self.activation.get_config()


class ReLU(_Function):
    """`max(x, 0)`, or with other slopes and bounds; see `activations.Relu`.

    Args:
        max_value: largest value; None for no bound.
        negative_slope: slope below the threshold.
        threshold: from where on values pass.
        kwargs: see `Layer`.

    Raises:
        ConfigError: a negative argument.
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.activation = activations.Relu(negative_slope, max_value, threshold)


class LeakyReLU(_Function):
    """x for x > 0, else `negative_slope * x`.

    Args:
        negative_slope: slope of the other half.
        kwargs: see `Layer`. `alpha` is the older name of `negative_slope`.
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.LeakyRelu(negative_slope)


class ELU(_Function):
    """x for x > 0, else `alpha * (exp(x) - 1)`.

    Args:
        alpha: minus the bound that large negative x tend to.
        kwargs: see `Layer`.
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.Elu(alpha)


class Softmax(_Function):
    """`exp(x) / sum(exp(x))` over the last axis.

    Args:
        axis: -1, or the number of the last axis.
        kwargs: see `Layer`.

    Raises:
        ConfigError: another axis, when the layer is built.
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.activation = activations.Softmax()

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.axis not in (-1, len(input_shape)):
            raise ConfigError(
                f"Softmax supports the last axis. Received: axis={self.axis} for inputs of shape "
                f"{(None, *input_shape)}. Put Permute before and after it."
            )
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis}
