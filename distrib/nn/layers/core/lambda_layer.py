"""Lambda: a function of one's own as a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError, ShapeError
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey


class Lambda(Layer):
    """Applies a function of arrays, below everything that learns: its gradient is not known.

    Args:
        function: takes `(batch, ...)` and returns `(batch, ...)`; a NumPy function, say.
        output_shape: shape of one example of the result; found by a call with zeros by default.
        mask: not supported.
        arguments: more arguments of the function.
        kwargs: see `Layer`.

    Raises:
        ConfigError: what is no function; a mask; or, in the first step of a training, variables below the layer.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: None = None,
        arguments: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function) or mask is not None:
            raise ConfigError("Lambda expects a function, and does not support mask.")
        self.function, self.arguments = function, dict(arguments or {})
        self._declared_output = None if output_shape is None else tuple(np.atleast_1d(output_shape).tolist())

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self._declared_output is not None:
            return self._declared_output
        result = np.asarray(self.function(np.zeros((1, *input_shape), self.dtype), **self.arguments))
        if result.ndim < 1 or len(result) != 1:
            raise ShapeError(
                f"Lambda '{self.name}' expects a row for each example. Received: {result.shape}."
            )
        return result.shape[1:]

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        return np.ascontiguousarray(self.function(x, **self.arguments), self.dtype)

    def backward(self, d_y: Array) -> Array:
        if self.needs_input_gradient:
            raise ConfigError(
                f"Lambda '{self.name}' cannot be trained through: the gradient of its function is not known, and "
                "there are variables to train below it. Put it before them, or freeze them."
            )
        return d_y

    def get_config(self) -> dict[str, Any]:
        """The name of the function, to compare replicas by: it cannot be made again of that."""
        function = self.function
        name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__name__)}"
        return super().get_config() | {"function": name, "arguments": sorted(self.arguments)}
