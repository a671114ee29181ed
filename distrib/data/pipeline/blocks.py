"""Blocks: elements in a row, which are computed when somebody asks for their values.

What a pipeline does to the order of elements (shuffle, take, shard, batch, repeat), it does to blocks, and no element
is read for it. So all replicas see the same order, and each reads and maps its own part of every batch alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import DataError, DistribError
from distrib.data.pipeline.structure import leaves, mapped, stacked

Rows: TypeAlias = "slice | Array"


class Block(ABC):
    """Elements in a row."""

    @abstractmethod
    def __len__(self) -> int:
        """How many there are."""

    @abstractmethod
    def element(self, index: int) -> Any:
        """The value of one, computed now."""

    @abstractmethod
    def rows(self, rows: Rows) -> Block:
        """Some of them, by a slice or by their indices; nothing is computed."""

    def elements(self) -> list[Any]:
        """The values of all, computed now."""
        return [self.element(index) for index in range(len(self))]

    def stacked(self) -> Any:
        """The values of all along a new first axis, computed now. There is at least one."""
        return stacked(self.elements())


class Slices(Block):
    """Rows of arrays.

    Args:
        arrays: a structure of arrays of one length.
        rows: which of their rows; all by default.
    """

    def __init__(self, arrays: Any, rows: Rows | None = None) -> None:
        self.arrays = arrays
        self._rows = slice(0, len(next(leaves(arrays)))) if rows is None else rows

    def __len__(self) -> int:
        if isinstance(self._rows, slice):
            return int(self._rows.stop - self._rows.start)
        return len(self._rows)

    def element(self, index: int) -> Any:
        row = self._rows.start + index if isinstance(self._rows, slice) else self._rows[index]
        return mapped(lambda array: array[row], self.arrays)

    def rows(self, rows: Rows) -> Block:
        if not isinstance(self._rows, slice):
            return Slices(self.arrays, self._rows[rows])
        if isinstance(rows, slice):
            begin, end, step = rows.indices(len(self))
            if step == 1:
                return Slices(
                    self.arrays, slice(self._rows.start + begin, self._rows.start + max(begin, end))
                )
            rows = np.arange(begin, end, step)
        return Slices(self.arrays, self._rows.start + rows)

    def stacked(self) -> Any:
        rows = self._rows
        if isinstance(rows, slice):
            return mapped(lambda array: array[rows], self.arrays)
        return mapped(lambda array: np.take(array, rows, axis=0, mode="clip"), self.arrays)

    def joined(self, other: Slices) -> Slices:
        """These and other rows of the same arrays."""
        return Slices(self.arrays, np.concatenate([_indices(self._rows), _indices(other._rows)]))


class Values(Block):
    """Elements that are computed already."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = list(values)

    def __len__(self) -> int:
        return len(self._values)

    def element(self, index: int) -> Any:
        return self._values[index]

    def rows(self, rows: Rows) -> Block:
        if isinstance(rows, slice):
            return Values(self._values[rows])
        return Values([self._values[each] for each in rows])


class Computed(Block):
    """What a function makes of the elements of another block.

    Args:
        function: takes the components of an element.
        source: the elements.
        numbers: `(elements,)`, their numbers in the data set, for error messages.
        pool: threads that compute; None for the thread that asks.
    """

    def __init__(
        self, function: Callable[[Any], Any], source: Block, numbers: Array, pool: ThreadPoolExecutor | None
    ) -> None:
        self._function, self._source, self._numbers, self._pool = function, source, numbers, pool

    def __len__(self) -> int:
        return len(self._source)

    def element(self, index: int) -> Any:
        value = self._source.element(index)
        try:
            return self._function(value)
        except DistribError as error:
            raise type(error)(f"Element {self._numbers[index]} of a Dataset: {error}") from error
        except Exception as error:
            raise DataError(
                f"The function of map failed at element {self._numbers[index]}: {type(error).__name__}: {error}"
            ) from error

    def rows(self, rows: Rows) -> Block:
        return Computed(self._function, self._source.rows(rows), self._numbers[rows], self._pool)

    def elements(self) -> list[Any]:
        if self._pool is None or len(self) == 1:
            return super().elements()
        return list(self._pool.map(self.element, range(len(self))))


class Memo(Block):
    """Elements that are computed once.

    Args:
        source: the elements.
        numbers: their numbers, under which they are kept.
        kept: takes the values.
    """

    def __init__(self, source: Block, numbers: Array, kept: dict[int, Any]) -> None:
        self._source, self._numbers, self._kept = source, numbers, kept

    def __len__(self) -> int:
        return len(self._source)

    def element(self, index: int) -> Any:
        number = int(self._numbers[index])
        if number not in self._kept:
            self._kept[number] = self._source.element(index)
        return self._kept[number]

    def elements(self) -> list[Any]:
        missing = [index for index in range(len(self)) if int(self._numbers[index]) not in self._kept]
        if missing:
            found = self._source.rows(np.array(missing)).elements()
            self._kept.update(zip(self._numbers[missing].tolist(), found, strict=True))
        return super().elements()

    def rows(self, rows: Rows) -> Block:
        return Memo(self._source.rows(rows), self._numbers[rows], self._kept)


class Together(Block):
    """Elements of several blocks of one length, as the components of one.

    Args:
        blocks: a structure of blocks.
    """

    def __init__(self, blocks: Any) -> None:
        self._blocks = blocks

    def __len__(self) -> int:
        return len(next(leaves(self._blocks)))

    def element(self, index: int) -> Any:
        return mapped(lambda block: block.element(index), self._blocks)

    def rows(self, rows: Rows) -> Block:
        return Together(mapped(lambda block: block.rows(rows), self._blocks))

    def elements(self) -> list[Any]:
        each = mapped(lambda block: block.elements(), self._blocks)
        return [mapped(lambda values, index=index: values[index], each) for index in range(len(self))]

    def stacked(self) -> Any:
        return mapped(lambda block: block.stacked(), self._blocks)


class Picked(Block):
    """Elements of several blocks, in any order.

    Args:
        blocks: the blocks.
        which: `(elements,)`, the number of the block of each.
        at: `(elements,)`, its index there.
    """

    def __init__(self, blocks: Sequence[Block], which: Array, at: Array) -> None:
        self._blocks, self._which, self._at = blocks, which, at

    def __len__(self) -> int:
        return len(self._which)

    def element(self, index: int) -> Any:
        return self._blocks[self._which[index]].element(int(self._at[index]))

    def place(self, index: int) -> tuple[Block, int]:
        """The block of an element, and its index there."""
        return self._blocks[self._which[index]], int(self._at[index])

    def rows(self, rows: Rows) -> Block:
        which, at = self._which[rows], self._at[rows]
        if len(which) and (which == which[0]).all():
            block: Block = self._blocks[which[0]]
            return block.rows(at)
        return Picked(self._blocks, which, at)

    def elements(self) -> list[Any]:
        values: list[Any] = [None] * len(self)
        for number in dict.fromkeys(self._which.tolist()):
            mine = np.flatnonzero(self._which == number)
            for place, value in zip(mine, self._blocks[number].rows(self._at[mine]).elements(), strict=True):
                values[place] = value
        return values


def join(blocks: Sequence[Block]) -> Block:
    """The elements of blocks, one after the other."""
    blocks = [block for block in blocks if len(block)] or list(blocks[:1])
    if len(blocks) == 1:
        return blocks[0]
    first, *others = blocks
    if isinstance(first, Slices) and all(
        isinstance(each, Slices) and each.arrays is first.arrays for each in others
    ):
        for other in others:
            assert isinstance(other, Slices)
            first = first.joined(other)
        return first
    if all(isinstance(block, Values) for block in blocks):
        return Values([value for block in blocks for value in block.elements()])
    sizes = [len(block) for block in blocks]
    return Picked(
        blocks, np.repeat(np.arange(len(blocks)), sizes), np.concatenate([np.arange(size) for size in sizes])
    )


def _indices(rows: Rows) -> Array:
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
