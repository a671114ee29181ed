"""Dense: `activation(x @ kernel + bias)`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError, ShapeError
from distrib.nn import activations, constraints, initializers, regularizers
from distrib.nn.layers.activated_layer import ActivatedLayer
from distrib.nn.registry import described
from distrib.nn.variable import Variable

_SENT_EARLY_BYTES = 2 << 20


class Dense(ActivatedLayer):
    """A fully connected layer. Inputs of more axes are combined along the last one.

    Args:
        units: number of outputs.
        activation: name, instance or function of `distrib.activations`; linear by default.
        use_bias: whether to add a bias vector.
        kernel_initializer: name or instance, for the kernel `(inputs, units)`.
        bias_initializer: name or instance, for the bias `(units,)`.
        kernel_regularizer: name or instance of a penalty on the kernel.
        bias_regularizer: name or instance of a penalty on the bias.
        activity_regularizer: name or instance of a penalty on the outputs.
        kernel_constraint: name or instance of a constraint on the kernel.
        bias_constraint: name or instance of a constraint on the bias.
        kwargs: see `Layer`.

    Raises:
        ConfigError: an unknown name, or `units` not positive.
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        activity_regularizer: str | regularizers.Regularizer | None = None,
        kernel_constraint: str | constraints.Constraint | None = None,
        bias_constraint: str | constraints.Constraint | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if not isinstance(units, int | np.integer) or units < 1:
            raise ConfigError(f"Dense expects units to be a positive int. Received: units={units!r}.")
        self.units = int(units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def make_variables(self, input_shape: Shape, seed: int) -> list[Variable]:
        variables = [
            self.add_variable("kernel", (input_shape[-1], self.units), self.kernel_initializer, seed)
        ]
        if self.use_bias:
            variables.append(self.add_variable("bias", (self.units,), self.bias_initializer, seed))
        penalties = zip(variables, (self.kernel_regularizer, self.bias_regularizer), strict=False)
        for variable, penalty in penalties:
            variable.regularizer = penalty
        limits = zip(variables, (self.kernel_constraint, self.bias_constraint), strict=False)
        for variable, limit in limits:
            variable.constraint = limit
        self._kernel, self._bias = variables[0], variables[1] if self.use_bias else None
        return variables

    def prepare(self, input_shape: Shape, dtype: np.dtype[Any], seed: int) -> None:
        super().prepare(input_shape, dtype, seed)
        self._rows = math.prod(input_shape[:-1])  # of each example

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if not input_shape:
            raise ShapeError(
                f"Dense '{self.name}' expects inputs of shape (batch, ..., features). Received: (batch,)."
            )
        return (*input_shape[:-1], self.units)

    @property
    def kernel(self) -> Variable:
        """The kernel, `(inputs, units)`. Raises `ConfigError` before the layer is built."""
        return self.variable("kernel")

    @property
    def bias(self) -> Variable | None:
        """The bias, `(units,)`; None without one. Raises `ConfigError` before the layer is built."""
        return self.variable("bias") if self.use_bias else None

    def linear(self, x: Array) -> Array:
        batch, x = len(x), self._flat(x)
        z = self._scratch.rows("z", len(x), (self.units,), self.dtype)
        np.matmul(x, self._kernel.value, out=z)
        if self._bias is not None:
            z += self._bias.value
        self._x = x
        return z if self._rows == 1 else z.reshape(batch, *self.output_shape)

    def linear_form(self) -> Callable[..., Any]:
        return lambda x, kernel, *bias: x @ kernel + bias[0] if bias else x @ kernel

    def _flat(self, array: Array) -> Array:
        """`(batch, ..., n)` as rows `(batch * ..., n)`."""
        if self._rows == 1:
            return array
        return array.reshape(len(array) * self._rows, array.shape[-1])

    def linear_backward(self, d_z: Array) -> Array:
        batch, d_z = len(d_z), self._flat(d_z)
        if self._bias is not None:
            np.add.reduce(d_z, axis=0, out=self._bias.grad)
        grad = self._kernel.grad
        # A large gradient from its end, so that one part is sent while the next is computed.
        rows = _SENT_EARLY_BYTES // (self.units * grad.itemsize) if self.gradients_are_sent_early else 0
        for begin in reversed(range(0, len(grad), max(rows, 64) if rows else len(grad))):
            part = slice(begin, begin + max(rows, 64) if rows else None)
            np.matmul(self._x[:, part].T, d_z, out=grad[part])
            self.gradients_are_final(begin * self.units)
        if not self.needs_input_gradient:
            return d_z
        d_x = self._scratch.rows("d_x", len(d_z), self.input_shape[-1:], self.dtype)
        np.matmul(d_z, self._kernel.value.T, out=d_x)
        return d_x if self._rows == 1 else d_x.reshape(batch, *self.input_shape)

    def get_config(self) -> dict[str, Any]:
        parts: dict[str, Any] = {
            "activation": self.activation,
            "kernel_initializer": self.kernel_initializer,
            "bias_initializer": self.bias_initializer,
            "kernel_regularizer": self.kernel_regularizer,
            "bias_regularizer": self.bias_regularizer,
        }
        later = (
            "activity_regularizer",
            "kernel_constraint",
            "bias_constraint",
        )  # not in files of earlier versions
        parts |= {role: part for role in later if (part := getattr(self, role)) is not None}
        return super().get_config() | {"units": self.units, "use_bias": self.use_bias} | described(parts)
