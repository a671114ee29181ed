"""GradientProgress: from which element on the flat gradient is final, while the backward pass goes on.

The gradients of the layers lie in their order, and a strategy sends what is final from the end to the beginning. A
layer's gradient is final when all its applications have been through. In a graph layers do not end in their order, so
what counts is the lowest layer from which on all are through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

from distrib.base.ranges import Range


class GradientProgress:
    """How far the backward pass is.

    Args:
        sizes: number of elements of each layer's gradient.
        applications: number of applications of each layer that the backward pass goes through.

    Attributes:
        report: called with `begin` whenever all elements from `begin` on are final; None while nobody asks.
    """

    def __init__(self, sizes: Sequence[int], applications: Sequence[int]) -> None:
        self._begins = [0, *accumulate(sizes)]
        self._applications, self._left = list(applications), list(applications)
        self._lowest = len(sizes)
        self.report: Callable[[int], None] | None = None

    def begin(self) -> None:
        """A backward pass begins."""
        self._left[:] = self._applications
        self._lowest = len(self._left)

    def range_of(self, layer: int) -> Range:
        """Where a layer's gradient lies."""
        return Range(self._begins[layer], self._begins[layer + 1])

    def is_first(self, layer: int) -> bool:
        """Whether no application of the layer has been through yet."""
        return self._left[layer] == self._applications[layer]

    def is_through(self, layer: int) -> None:
        """An application of the layer has been through."""
        self._left[layer] -= 1
        if self.report is None or self._left[layer]:
            return
        before = lowest = self._lowest
        while lowest and not self._left[lowest - 1]:
            lowest -= 1
        self._lowest = lowest
        if self._begins[lowest] < self._begins[before]:
            self.report(self._begins[lowest])

    def is_final_from(self, layer: int, begin: int) -> None:
        """The layer, which is applied once, has written all but the first `begin` elements of its gradient."""
        if self.report is not None and self._lowest == layer + 1:
            self.report(self._begins[layer] + begin)
