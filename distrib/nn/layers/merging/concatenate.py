"""Concatenate: its inputs one behind the other, along one axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError, ShapeError
from distrib.nn.layers.merging.merge import Merge
from distrib.nn.rng import RngKey


class Concatenate(Merge):
    """Its inputs one behind the other.

    Args:
        axis: along which, counted with the batch, which it may not be.
        kwargs: see `Layer`.

    Raises:
        ConfigError: the axis of the batch.
        ShapeError: inputs that differ along other axes, when the layer is built.
    """

    least_inputs = 1

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if axis == 0:
            raise ConfigError("Concatenate expects another axis than that of the batch. Received: axis=0.")
        self.axis = axis

    def merged_shape(self, shapes: list[Shape]) -> Shape:
        ndim = len(shapes[0]) + 1
        axis = (self.axis + ndim if self.axis < 0 else self.axis) - 1
        rest = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
        if len(rest) > 1 or not 0 <= axis < ndim - 1 or len({len(shape) for shape in shapes}) > 1:
            raise ShapeError(
                f"Concatenate '{self.name}' expects inputs that are equal but for axis {self.axis}. Received: "
                f"{[(None, *shape) for shape in shapes]}."
            )
        self._axis = axis + 1
        return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])

    def forward(self, x: Any, draw: RngKey | None) -> Array:
        y = self._scratch.rows("y", len(x[0]), self.output_shape, x[0].dtype)
        np.concatenate(x, axis=self._axis, out=y)
        return y

    def backward(self, d_y: Array) -> Any:
        gradients: list[Array] = []
        begin = 0
        for index, shape in enumerate(self.input_shape):
            assert isinstance(shape, tuple)
            size = shape[self._axis - 1]
            part = np.moveaxis(np.moveaxis(d_y, self._axis, 0)[begin : begin + size], 0, self._axis)
            d_x = self._scratch.rows(f"d_x{index}", len(d_y), shape, d_y.dtype)
            np.copyto(d_x, part)
            gradients.append(d_x)
            begin += size
        return gradients

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis}
