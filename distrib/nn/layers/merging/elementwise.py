"""Sums, products and extremes of several inputs, element by element.

Shapes may differ where one of them has size 1, or lacks axes in front, as in NumPy's broadcasting.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ShapeError
from distrib.nn.layers.merging.merge import Merge
from distrib.nn.rng import RngKey


class Elementwise(Merge):
    """Combines inputs that are broadcast to one shape."""

    def merged_shape(self, shapes: list[Shape]) -> Shape:
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


class Add(Elementwise):
    """The sum of its inputs."""

    def merge(self, inputs: list[Array], y: Array) -> None:
        np.add(inputs[0], inputs[1], out=y)
        for each in inputs[2:]:
            y += each

    def gradient(self, index: int, d_y: Array, d_x: Array) -> None:
        np.copyto(d_x, d_y)


class Subtract(Elementwise):
    """The first input minus the second."""

    most_inputs = 2

    def merge(self, inputs: list[Array], y: Array) -> None:
        np.subtract(inputs[0], inputs[1], out=y)

    def gradient(self, index: int, d_y: Array, d_x: Array) -> None:
        if index:
            np.negative(d_y, out=d_x)
        else:
            np.copyto(d_x, d_y)


class Multiply(Elementwise):
    """The product of its inputs."""

    def merge(self, inputs: list[Array], y: Array) -> None:
        np.multiply(inputs[0], inputs[1], out=y)
        for each in inputs[2:]:
            y *= each

    def gradient(self, index: int, d_y: Array, d_x: Array) -> None:
        np.copyto(d_x, d_y)
        for other, each in enumerate(self._inputs):
            if other != index:
                d_x *= each


class Average(Elementwise):
    """The mean of its inputs."""

    def merge(self, inputs: list[Array], y: Array) -> None:
        np.add(inputs[0], inputs[1], out=y)
        for each in inputs[2:]:
            y += each
        y *= 1.0 / len(inputs)

    def gradient(self, index: int, d_y: Array, d_x: Array) -> None:
        np.multiply(d_y, 1.0 / len(self._inputs), out=d_x)


class Maximum(Elementwise):
    """The largest of its inputs. Where several are the largest, they share the gradient."""

    def merge(self, inputs: list[Array], y: Array) -> None:
        np.maximum(inputs[0], inputs[1], out=y)
        for each in inputs[2:]:
            np.maximum(y, each, out=y)

    def gradient(self, index: int, d_y: Array, d_x: Array) -> None:
        wins = self._scratch.like("wins", d_y, np.dtype(bool))
        count = self._scratch.like("count", d_y)
        count.fill(0)
        for each in self._inputs:
            np.equal(each, self._y, out=wins)
            count += wins
        np.equal(self._inputs[index], self._y, out=wins)
        np.divide(wins, count, out=d_x)
        d_x *= d_y


class Minimum(Maximum):
    """The smallest of its inputs. Where several are the smallest, they share the gradient."""

    def merge(self, inputs: list[Array], y: Array) -> None:
        np.minimum(inputs[0], inputs[1], out=y)
        for each in inputs[2:]:
            np.minimum(y, each, out=y)
