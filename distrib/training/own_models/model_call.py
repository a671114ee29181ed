"""ModelCall: the `call` of a model of one's own, as the only layer of its network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from distrib.nn.layers.layer import Layer
from distrib.nn.layers.parts import Parts


class OwnModel(Protocol):
    """What is called.

    Attributes:
        dtype: of its variables and computations.
        parts: its variables and layers.
    """

    dtype: np.dtype[Any]
    parts: Parts

    def call_with(
        self, inputs: Any, args: Sequence[Any] = ..., kwargs: Mapping[str, Any] = ..., training: Any = ...
    ) -> Any:
        """`call`, with `training` if it takes it."""

    def arranged(self, inputs: Any) -> Any:
        """Tensors in a list, or one, in the structure that `call` takes."""

    def note_outputs(self, outputs: Any) -> None:
        """Keep the structure of what `call` has returned."""

    def build_own(self, input_shape: Any) -> None:
        """Make the variables of the model itself."""


class ModelCall(Layer):
    """The `call` of a model, as the only layer of its network.

    Args:
        model: the model.
    """

    _model: OwnModel

    def __init__(self, model: OwnModel) -> None:
        super().__init__(name="model", dtype=model.dtype)
        object.__setattr__(self, "_model", model)  # which is no layer of its own
        self.parts = model.parts

        self._is_free = False

    @property
    def prefix(self) -> str:
        return ""

    def call_freely(self, inputs: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """A call that is no step of the network: with any arguments, and inputs in their structure."""
        training = kwargs.get("training")
        others = {name: value for name, value in kwargs.items() if name != "training"}
        self._is_free = True
        try:
            return self._call_own(inputs, tuple(args), others, training)
        finally:
            self._is_free = False

    def call(self, inputs: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """See `Subclassed.call`."""
        if not self._is_free:
            inputs = self._model.arranged(inputs)
        outputs = self._model.call_with(inputs, args, kwargs, training)
        if not self._is_free:
            self._model.note_outputs(outputs)
        return outputs

    def build(self, input_shape: Any) -> None:
        """See `Subclassed.build`."""
        self._model.build_own(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            "class": type(self._model).__name__,
            "layers": [[name, type(layer).__name__] for name, layer in self.parts.layers.items()],
        }
