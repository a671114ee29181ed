"""Merge: the base of layers that combine several inputs of one shape, element by element.

Shapes may differ where one of them has size 1, or lacks axes in front, as in NumPy's broadcasting. Each input gets a
gradient in memory of its own.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ShapeError
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey


class Merge(Layer):
    """Combines a list of inputs element by element."""

    takes_several = True
    least_inputs = 2
    most_inputs: int | None = None

    def compute_output_shape(self, input_shape: Any) -> Shape:
        shapes = list(input_shape)
        most = self.most_inputs
        if len(shapes) < self.least_inputs or (most is not None and len(shapes) > most):
            number = f"{self.least_inputs}" if most == self.least_inputs else f"at least {self.least_inputs}"
            raise ShapeError(
                f"{type(self).__name__} '{self.name}' expects {number} inputs. Received: {len(shapes)}."
            )
        return self.merged_shape(shapes)

    def merged_shape(self, shapes: list[Shape]) -> Shape:
        """Shape of one example of the output. Raises `ShapeError` for shapes that do not fit together."""
        try:
            return np.broadcast_shapes(
                *[(1,) * (max(map(len, shapes)) - len(each)) + each for each in shapes]
            )
        except ValueError:
            raise ShapeError(
                f"{type(self).__name__} '{self.name}' expects inputs of one shape. Received: "
                f"{[(None, *shape) for shape in shapes]}."
            ) from None

    def forward(self, x: Any, draw: RngKey | None) -> Array:
        self._inputs = [_aligned(each, len(self.output_shape)) for each in x]
        y = self._scratch.rows("y", len(x[0]), self.output_shape, x[0].dtype)
        self.merge(self._inputs, y)
        self._y = y
        return y

    def backward(self, d_y: Array) -> Any:
        gradients = []
        for index, (x, shape) in enumerate(zip(self._inputs, self.input_shape, strict=True)):
            d_x = self._scratch.like(f"d_x{index}", d_y)
            self.gradient(index, d_y, d_x)
            gradients.append(self._summed(index, d_x, x, shape))  # type: ignore[arg-type]
        return gradients

    def _summed(self, index: int, d_x: Array, x: Array, shape: Shape) -> Array:
        """The gradient in the shape of the input, summed over the axes along which it was broadcast."""
        if d_x.shape == x.shape:
            return d_x.reshape(len(d_x), *shape)
        axes = tuple(axis for axis in range(1, x.ndim) if x.shape[axis] != d_x.shape[axis])
        summed = self._scratch.rows(f"sum{index}", len(x), x.shape[1:], x.dtype)
        np.sum(d_x, axis=axes, keepdims=True, out=summed)
        return summed.reshape(len(x), *shape)

    @abstractmethod
    def merge(self, inputs: list[Array], y: Array) -> None:
        """Write the result into `y`."""

    @abstractmethod
    def gradient(self, index: int, d_y: Array, d_x: Array) -> None:
        """Write the gradient with respect to input `index`, in the shape of the output, into `d_x`."""


def _aligned(x: Array, ndim: int) -> Array:
    """`x` with axes of size 1 behind the batch, so that an example has `ndim` axes."""
    missing = ndim + 1 - x.ndim
    return x.reshape(len(x), *[1] * missing, *x.shape[1:]) if missing else x
