"""Permute: the axes of an example in another order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError, ShapeError
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey


class Permute(Layer):
    """Axis `i` of the output is axis `dims[i - 1]` of the input; axes are counted from 1, without the batch.

    Args:
        dims: a permutation of 1, 2, ...
        kwargs: see `Layer`.

    Raises:
        ConfigError: no permutation.
        ShapeError: another number of axes, when the layer is built.
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(int(each) for each in dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ConfigError(f"Permute expects dims as a permutation from 1 on. Received: dims={self.dims}.")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != len(self.dims):
            raise ShapeError(
                f"Permute '{self.name}' expects examples of {len(self.dims)} axes. Received: {input_shape}."
            )
        return tuple(input_shape[each - 1] for each in self.dims)

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        y = self._scratch.rows("y", len(x), self.output_shape, x.dtype)
        np.copyto(y, x.transpose(0, *self.dims))
        return y

    def backward(self, d_y: Array) -> Array:
        d_x = self._scratch.rows("d_x", len(d_y), self.input_shape, d_y.dtype)
        np.copyto(d_x.transpose(0, *self.dims), d_y)
        return d_x

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"dims": list(self.dims)}
