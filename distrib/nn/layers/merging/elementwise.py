"""Sums, products and extremes of several inputs."""

from __future__ import annotations

import numpy as np

from distrib.base.arrays import Array
from distrib.nn.layers.merging.merge import Merge


class Add(Merge):
    """The sum of its inputs."""

    def merge(self, inputs: list[Array], y: Array) -> None:
        np.add(inputs[0], inputs[1], out=y)
        for each in inputs[2:]:
            y += each

    def gradient(self, index: int, d_y: Array, d_x: Array) -> None:
        np.copyto(d_x, d_y)


class Subtract(Merge):
    """The first input minus the second."""

    most_inputs = 2

    def merge(self, inputs: list[Array], y: Array) -> None:
        np.subtract(inputs[0], inputs[1], out=y)

    def gradient(self, index: int, d_y: Array, d_x: Array) -> None:
        if index:
            np.negative(d_y, out=d_x)
        else:
            np.copyto(d_x, d_y)


class Multiply(Merge):
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


class Average(Merge):
    """The mean of its inputs."""

    def merge(self, inputs: list[Array], y: Array) -> None:
        np.add(inputs[0], inputs[1], out=y)
        for each in inputs[2:]:
            y += each
        y *= 1.0 / len(inputs)

    def gradient(self, index: int, d_y: Array, d_x: Array) -> None:
        np.multiply(d_y, 1.0 / len(self._inputs), out=d_x)


class Maximum(Merge):
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
