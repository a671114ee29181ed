"""Lambda: a function of one's own as a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from distrib.base.errors import ConfigError
from distrib.nn.layers.layer import Layer


class Lambda(Layer):
    """Applies a function. It is trained through: its gradient is that of a tape.

    Args:
        function: takes `(batch, ...)` and returns `(batch, ...)`; written with NumPy functions, say.
        output_shape: accepted for Keras' sake: it is found by a call with zeros.
        mask: not supported.
        arguments: more arguments of the function.
        kwargs: see `Layer`.

    Raises:
        ConfigError: what is no function; or a mask.
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

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The function of the inputs."""
        return self.function(inputs, **self.arguments)

    def get_config(self) -> dict[str, Any]:
        """The name of the function, to compare replicas by: it cannot be made again of that."""
        function = self.function
        name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__name__)}"
        return super().get_config() | {"function": name, "arguments": sorted(self.arguments)}
