"""Dot: products of two inputs, summed over one axis of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError, ShapeError
from distrib.nn.layers.merging.merge import Merge
from distrib.nn.rng import RngKey

_EPSILON = 1e-12


class Dot(Merge):
    """For every example, the products of two inputs summed over an axis of each.

    What is left of the first input's axes comes first, then what is left of the second's. Two vectors give
    `(batch, 1)`.

    Args:
        axes: one axis for both inputs, or one for each, counted with the batch.
        normalize: divide vectors along the axes by their length first: the result is the cosine of their angle.
        kwargs: see `Layer`.

    Raises:
        ConfigError: the axis of the batch.
        ShapeError: axes of different sizes, when the layer is built.
    """

    most_inputs = 2

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = np.atleast_1d(axes).tolist()
        if len(given) > 2 or 0 in given:
            raise ConfigError(
                f"Dot expects one axis or two, and not that of the batch. Received: axes={axes!r}."
            )
        self.axes = axes if isinstance(axes, int) else list(axes)
        self.normalize = normalize
        self._given = (given * 2)[:2]

    def merged_shape(self, shapes: list[Shape]) -> Shape:
        axes = [axis + len(s) if axis < 0 else axis - 1 for axis, s in zip(self._given, shapes, strict=True)]
        if (
            any(not 0 <= axis < len(s) for axis, s in zip(axes, shapes, strict=True))
            or len({s[axis] for axis, s in zip(axes, shapes, strict=True)}) > 1
        ):
            raise ShapeError(
                f"Dot '{self.name}' expects axes {self.axes} of one size. Received: "
                f"{[(None, *shape) for shape in shapes]}."
            )
        self._axes = [axis + 1 for axis in axes]
        letters = "cdefghij"
        first = [letters[i] for i in range(len(shapes[0]))]
        second = [letters[len(shapes[0]) + i] for i in range(len(shapes[1]))]
        first[axes[0]] = second[axes[1]] = "a"
        left = [each for each in (*first, *second) if each != "a"]
        self._terms = ["b" + "".join(first), "b" + "".join(second)]
        self._result = "b" + "".join(left)
        shape = tuple(
            size for s, axis in zip(shapes, axes, strict=True) for i, size in enumerate(s) if i != axis
        )
        return shape or (1,)

    def forward(self, x: Any, draw: RngKey | None) -> Array:
        self._lengths, self._units = [], []
        for each, axis in zip(x, self._axes, strict=True):
            if self.normalize:
                length = np.sqrt(np.maximum(np.sum(each * each, axis=axis, keepdims=True), _EPSILON))
                self._lengths.append(length)
                each = each / length
            self._units.append(each)
        y = np.einsum(f"{self._terms[0]},{self._terms[1]}->{self._result}", *self._units)
        return np.ascontiguousarray(y.reshape(len(x[0]), *self.output_shape))

    def backward(self, d_y: Array) -> Any:
        first, second = self._terms
        size: dict[str, int] = {}
        for term, unit in zip(self._terms, self._units, strict=True):
            size |= zip(term, unit.shape, strict=True)
        d_y = d_y.reshape([size[letter] for letter in self._result])
        gradients = [
            np.einsum(f"{self._result},{second}->{first}", d_y, self._units[1]),
            np.einsum(f"{self._result},{first}->{second}", d_y, self._units[0]),
        ]
        if not self.normalize:
            return gradients
        return [
            (gradient - unit * np.sum(gradient * unit, axis=axis, keepdims=True)) / length
            for gradient, unit, length, axis in zip(
                gradients, self._units, self._lengths, self._axes, strict=True
            )
        ]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axes": self.axes, "normalize": self.normalize}
