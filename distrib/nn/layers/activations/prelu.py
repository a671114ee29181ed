"""PReLU: a rectifier whose slope below 0 is learnt (He et al., 2015)."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError
from distrib.nn import constraints, initializers, regularizers
from distrib.nn.layers.layer import Layer
from distrib.nn.registry import described
from distrib.nn.rng import RngKey
from distrib.nn.variable import Variable


class PReLU(Layer):
    """x for x > 0, else `alpha * x`, with an alpha for each element of an example.

    Args:
        alpha_initializer: name or instance.
        alpha_regularizer: name or instance.
        alpha_constraint: name or instance.
        shared_axes: axes, from 1, along which one alpha is shared.
        kwargs: see `Layer`.

    Raises:
        ConfigError: an unknown name, or axes that there are not.
    """

    def __init__(
        self,
        alpha_initializer: str | initializers.Initializer = "zeros",
        alpha_regularizer: str | regularizers.Regularizer | None = None,
        alpha_constraint: str | constraints.Constraint | None = None,
        shared_axes: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.shared_axes = None if shared_axes is None else [int(each) for each in np.atleast_1d(shared_axes)]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        for axis in self.shared_axes or ():
            if not 1 <= axis <= len(input_shape):
                raise ConfigError(
                    f"PReLU expects shared_axes from 1 to {len(input_shape)}. Received: {axis}."
                )
        return input_shape

    def make_variables(self, input_shape: Shape, seed: int) -> list[Variable]:
        shape = tuple(
            1 if axis in (self.shared_axes or ()) else size for axis, size in enumerate(input_shape, 1)
        )
        self._alpha = self.add_variable("alpha", shape, self.alpha_initializer, seed)
        self._alpha.regularizer, self._alpha.constraint = self.alpha_regularizer, self.alpha_constraint
        return [self._alpha]

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        y, self._x = self._scratch.like("y", x), x
        np.minimum(x, 0, out=y)
        y *= self._alpha.value
        positive = self._scratch.like("positive", x)
        np.maximum(x, 0, out=positive)
        y += positive
        return y

    def backward(self, d_y: Array) -> Array:
        negative = self._scratch.like("positive", d_y)
        np.minimum(self._x, 0, out=negative)
        negative *= d_y
        axes = tuple(axis for axis in range(d_y.ndim) if axis == 0 or axis in (self.shared_axes or ()))
        grad = self._alpha.grad
        np.sum(negative, axis=axes, keepdims=True, out=grad[None])
        slope = negative
        np.copyto(slope, self._alpha.value)
        above = self._scratch.like("above", d_y, np.dtype(bool))
        np.greater(self._x, 0, out=above)
        np.copyto(slope, 1, where=above)
        d_y *= slope
        return d_y

    def get_config(self) -> dict[str, Any]:
        parts: dict[str, Any] = {
            "alpha_initializer": self.alpha_initializer,
            "alpha_regularizer": self.alpha_regularizer,
        }
        if self.alpha_constraint is not None:  # not in files of before
            parts["alpha_constraint"] = self.alpha_constraint
        return super().get_config() | described(parts) | {"shared_axes": self.shared_axes}
