"""Blocks of batches: what `batch` has put together, and nobody has computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.data.pipeline.blocks import Block, Picked, Rows


class Batches(Block):
    """Batches of the elements of another block.

    Args:
        source: the elements.
        borders: `(batches + 1,)`, where each begins, and the end.
    """

    def __init__(self, source: Block, borders: Array) -> None:
        self._source, self._borders = source, borders

    def __len__(self) -> int:
        return len(self._borders) - 1

    def batch(self, index: int) -> Block:
        """The elements of a batch."""
        return self._source.rows(slice(int(self._borders[index]), int(self._borders[index + 1])))

    def element(self, index: int) -> Any:
        return self.batch(index).stacked()

    def rows(self, rows: Rows) -> Block:
        if isinstance(rows, slice) and rows.step in (None, 1):
            begin, end, _ = rows.indices(len(self))
            return Batches(self._source, self._borders[begin : max(begin, end) + 1])
        return SomeBatches([self.batch(int(index)) for index in np.arange(len(self))[rows]])


class SomeBatches(Block):
    """Batches, in any order.

    Args:
        batches: the elements of each.
    """

    def __init__(self, batches: Sequence[Block]) -> None:
        self._batches = list(batches)

    def __len__(self) -> int:
        return len(self._batches)

    def batch(self, index: int) -> Block:
        """The elements of a batch."""
        return self._batches[index]

    def element(self, index: int) -> Any:
        return self._batches[index].stacked()

    def rows(self, rows: Rows) -> Block:
        if isinstance(rows, slice):
            return SomeBatches(self._batches[rows])
        return SomeBatches([self._batches[index] for index in rows])


def batch_of(block: Block, index: int) -> Block | None:
    """The elements of the batch that is element `index`, not computed; None where it is no such batch."""
    if isinstance(block, Batches | SomeBatches):
        return block.batch(index)
    if isinstance(block, Picked):
        return batch_of(*block.place(index))
    return None
