"""Scratch arrays that live as long as their owner, so that a step allocates nothing.

A layer asks for `rows` of a named array at every step. The array is made at the first step and grows when
a larger batch comes; a smaller batch (the last of an epoch) is given the first rows of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape


class Workspace:
    """Named scratch arrays whose first dimension is the batch."""

    __slots__ = ("_arrays",)

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}

    def rows(self, name: str, rows: int, shape: Shape, dtype: np.dtype[Any]) -> Array:
        """An uninitialised array `(rows, *shape)`; the same memory for the same name at every call."""
        array = self._arrays.get(name)
        if array is None or len(array) < rows or array.shape[1:] != shape or array.dtype != dtype:
            array = np.empty((rows, *shape), dtype)
            self._arrays[name] = array
        return array if len(array) == rows else array[:rows]

    def like(self, name: str, array: Array, dtype: np.dtype[Any] | None = None) -> Array:
        """An uninitialised array of the shape of `array` (and its dtype, unless another is given)."""
        return self.rows(name, len(array), array.shape[1:], dtype or array.dtype)
