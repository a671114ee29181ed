"""WeightPenalties: what the regularizers of variables add to the loss, for any range of the flat vector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from distrib.base.ranges import Range
from distrib.nn.flat_buffer import FlatBuffer
from distrib.nn.regularizers import Regularizer


class WeightPenalties:
    """The penalties of a network.

    Args:
        regularizers: by the names of the variables that they penalize.
        buffer: the flat vectors.

    Attributes:
        any: whether there is any.
    """

    def __init__(self, regularizers: Mapping[str, Regularizer], buffer: FlatBuffer) -> None:
        self._regularizers, self._buffer = regularizers, buffer
        self.any = bool(regularizers)

    def __call__(self, part: Range) -> float:
        """The penalty for the elements of the flat vector in `part`."""
        values = self._buffer.values
        return sum(regularizer(values[own.slice]) for regularizer, own in self.ranges(part))

    def add_gradient(self, part: Range, scale: float) -> None:
        """Add `scale` times the gradient of the penalty to the gradients in `part`."""
        values, grads = self._buffer.values, self._buffer.grads
        for regularizer, own in self.ranges(part):
            regularizer.add_gradient(values[own.slice], grads[own.slice], scale)

    def ranges(self, part: Range) -> Iterator[tuple[Regularizer, Range]]:
        """The regularizers of the elements in `part`, each with the range it is for."""
        if self._regularizers:
            for entry, own in self._buffer.entries_in(part):
                if entry.name in self._regularizers:
                    yield self._regularizers[entry.name], own
