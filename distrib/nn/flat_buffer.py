"""FlatBuffer: every trainable variable is a view into ONE vector of values and ONE of gradients.

A reshaped slice of a contiguous vector stays a view, so layers write their gradients straight into what a
strategy sends, and an optimizer updates any range of the vector without knowing what it holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from distrib.base.arrays import Array, Shape, aligned_vector
from distrib.base.ranges import Range
from distrib.nn.variable import Storage, Variable


class Entry(NamedTuple):
    """Where one variable lies in the flat vectors."""

    name: str
    shape: Shape
    range: Range


class FlatBuffer(Storage):
    """The flat vectors of a model, and the layout table name -> range.

    A variable that several models train lies in the vectors of the one that trained it last; `gather` brings it back.

    Args:
        variables: the trainable variables by name, in the order in which they shall lie. Their values are kept.
        dtype: dtype of both vectors.

    Attributes:
        variables: in their order.
        layout: where each lies.
    """

    def __init__(self, variables: Mapping[str, Variable], dtype: np.dtype[Any]) -> None:
        self.variables = tuple(variables.values())
        self.layout: list[Entry] = []
        begin = 0
        for name, variable in variables.items():
            own = Range(begin, begin + variable.size)
            self.layout.append(Entry(name, variable.shape, own))
            begin = own.end
        self.values, self.grads = aligned_vector(begin, dtype), aligned_vector(begin, dtype)
        self.gather()

    def gather(self) -> None:
        """Bring every variable that lies elsewhere, with its value, into these vectors.

        Called before each training step: for variables that are here already it costs a comparison.
        """
        for variable, entry in zip(self.variables, self.layout, strict=True):
            if variable.place is not self:
                self.values[entry.range.slice] = variable.value.reshape(-1)
                self._move(variable, entry)

    def rebind(self, values: Array, grads: Array) -> None:
        """Move every variable into these vectors, as when a strategy brings memory of its own.

        Args:
            values: `(size,)`, which hold the values that the variables have from now on.
            grads: `(size,)`, likewise for the gradients.
        """
        self.values, self.grads = values, grads
        for variable, entry in zip(self.variables, self.layout, strict=True):
            self._move(variable, entry)

    def _move(self, variable: Variable, entry: Entry) -> None:
        own, shape = entry.range.slice, entry.shape
        variable.move_to(self.values[own].reshape(shape), self.grads[own].reshape(shape), place=self)

    @property
    def size(self) -> int:
        """Number of elements in each vector."""
        return self.values.size

    def first_nonfinite(self, vector: Array, part: Range | None = None) -> int | None:
        """Index into `layout` of the first variable where `vector` holds NaN or Inf; None if there is none.

        The usual answer costs one dot product: a sum of squares is finite only if every element is. Only when
        it is not (a square may also overflow) are the elements looked at.

        Args:
            vector: `values`, `grads`, or another of their size.
            part: the range to look at; all of it by default.
        """
        part = part or Range(0, vector.size)
        looked_at = vector[part.begin : part.end]
        if math.isfinite(np.dot(looked_at, looked_at)):
            return None
        for index, entry in enumerate(self.layout):
            if not np.isfinite(vector[entry.range.intersect(part).slice]).all():
                return index
        return None

    def entries_in(self, part: Range) -> Iterator[tuple[Entry, Range]]:
        """The variables that lie in `part`, each with the range of it that does."""
        for entry in self.layout:
            shared = entry.range.intersect(part)
            if shared.size:
                yield entry, shared
