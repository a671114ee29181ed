"""Input: declares the shape of one example. The batch dimension stays unknown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrib.base.arguments import checked
from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError
from distrib.nn.graph.symbolic import KerasTensor, source
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey


class InputLayer(Layer):
    """An input of a model, as a layer: the first entry of a `Sequential`, or what `Input` makes.

    Args:
        shape: shape of one example, without the batch.
        batch_size: accepted for Keras' sake: a model takes batches of any size.
        dtype: of the values, as a label of the symbolic tensor; a model computes in its own dtype.
        name: name of the input.
        input_shape: another name of `shape`.
        batch_shape: shape of a batch, instead of `shape`; its first size is ignored.

    Raises:
        ConfigError: no shape, or one that is not of positive sizes.
    """

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
        batch_shape: Sequence[int | None] | None = None,
    ) -> None:
        shape = input_shape if shape is None else shape
        super().__init__(name=name, input_shape=shape, batch_shape=batch_shape if shape is None else None)
        if self.declared_input_shape is None:
            raise ConfigError("An input expects shape, such as Input((784,)). Received: none.")
        label = "float32" if dtype is None else np.dtype(dtype).name
        source(self, self.declared_input_shape, label, self.name)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        return x

    def backward(self, d_y: Array) -> Array:
        return d_y

    def get_config(self) -> dict[str, Any]:
        assert self.declared_input_shape is not None
        shape = list(self.declared_input_shape)
        return {"class": "InputLayer", "name": self.name, "shape": shape, "dtype": self.tensor.dtype}

    @property
    def tensor(self) -> KerasTensor:
        """The symbolic tensor of this input."""
        return self.nodes[0].outputs[0]


@checked
def Input(  # noqa: N802
    shape: Sequence[int] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    name: str | None = None,
    batch_shape: Sequence[int | None] | None = None,
) -> KerasTensor:
    """A symbolic tensor for an input of a model: `Input((784,))`.

    Call layers on it, and make a `Model(inputs, outputs)` of the result; or put it first into a `Sequential`.

    Args:
        shape: shape of one example, without the batch.
        batch_size: see `InputLayer`.
        dtype: see `InputLayer`.
        name: name of the input, by which a dict of data finds it.
        batch_shape: shape of a batch, instead of `shape`.

    Raises:
        ConfigError: no shape, or one that is not of positive sizes.
    """
    return InputLayer(shape, batch_size, dtype, name, batch_shape=batch_shape).tensor
