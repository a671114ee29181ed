"""Stages that put elements together: batches, padded batches, windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from distrib.base.errors import DataError
from distrib.data.pipeline.batch_blocks import Batches
from distrib.data.pipeline.blocks import Block, Computed, Values, join
from distrib.data.pipeline.computing import values_of
from distrib.data.pipeline.iteration import Iteration
from distrib.data.pipeline.ordering import After
from distrib.data.pipeline.sources import Elements, Stage, ValueStage
from distrib.data.pipeline.structure import leaves, mapped, stacked


class BatchStage(After):
    """Batches of elements.

    Args:
        source: the stage before.
        size: of a batch.
        drop_remainder: whether the last one is left out where it is smaller.
    """

    def __init__(self, source: Stage, size: int, drop_remainder: bool) -> None:
        super().__init__(source)
        self.size, self.drop_remainder = size, drop_remainder

    @property
    def cardinality(self) -> int:
        mine = self._source.cardinality
        return mine if mine < 0 else mine // self.size + (not self.drop_remainder and mine % self.size > 0)

    def blocks(self, iteration: Iteration) -> Elements:
        held: list[Block] = []
        count = 0
        for block in self._source.blocks(iteration):
            held.append(block)
            count += len(block)
            if count >= self.size:
                whole = join(held)
                end = count - count % self.size
                yield Batches(whole, np.arange(0, end + 1, self.size))
                held, count = [whole.rows(slice(end, count))], count - end
        if count and not self.drop_remainder:
            yield Batches(join(held), np.array([0, count]))


class PaddedBatchStage(BatchStage):
    """Batches of elements whose shapes differ: each is filled up to the largest, or to given sizes.

    Args:
        source: the stage before.
        size: see `BatchStage`.
        drop_remainder: likewise.
        shapes: a structure of shapes, with None or -1 for the largest of the batch; None for that everywhere.
        values: a structure of numbers to fill up with, or one for all; None for 0.
    """

    def __init__(self, source: Stage, size: int, drop_remainder: bool, shapes: Any, values: Any) -> None:
        super().__init__(source, size, drop_remainder)
        self._shapes, self._values = shapes, values

    def blocks(self, iteration: Iteration) -> Elements:
        held: list[Any] = []
        for values in values_of(self._source.blocks(iteration)):
            for value in values:
                held.append(value)
                if len(held) == self.size:
                    yield Values([self._padded(held)])
                    held = []
        if held and not self.drop_remainder:
            yield Values([self._padded(held)])

    def _padded(self, elements: list[Any]) -> Any:
        count = sum(1 for _ in leaves(elements[0]))
        shapes = [None] * count if self._shapes is None else _shapes_in(self._shapes)
        fills = (
            list(leaves(self._values))
            if isinstance(self._values, tuple | Mapping)
            else [self._values] * count
        )
        if len(shapes) != count or len(fills) != count:
            raise DataError(f"padded_batch expects shapes and values for {count} components.")
        places = iter(zip(shapes, fills, strict=True))
        return mapped(lambda *arrays: _filled_up(arrays, *next(places)), *elements)


class WindowStage(After):
    """Windows of elements, each a data set.

    Args:
        source: the stage before.
        size: elements of a window.
        shift: from the beginning of one to that of the next.
        stride: from one element of a window to the next.
        drop_remainder: whether windows that are not full are left out.
        dataset_of: makes a data set of a stage.
    """

    def __init__(
        self,
        source: Stage,
        size: int,
        shift: int,
        stride: int,
        drop_remainder: bool,
        dataset_of: Callable[[Stage], Any],
    ) -> None:
        super().__init__(source)
        self._size, self._shift, self._stride = size, shift, stride
        self._drop_remainder, self._dataset_of = drop_remainder, dataset_of

    @property
    def cardinality(self) -> int:
        mine = self._source.cardinality
        if mine < 0:
            return mine
        if not self._drop_remainder:
            return -(-mine // self._shift)
        reach = (self._size - 1) * self._stride + 1
        return 0 if mine < reach else 1 + (mine - reach) // self._shift

    def blocks(self, iteration: Iteration) -> Elements:
        reach = (self._size - 1) * self._stride + 1
        source = self._source.blocks(iteration)
        held: list[Block] = []
        count, begin = 0, 0  # elements that are held, and where among them the next window begins
        while True:
            while count < begin + reach and (block := next(source, None)) is not None:
                held.append(block)
                count += len(block)
            if count <= begin or (self._drop_remainder and count < begin + reach):
                return
            rest = join(held).rows(slice(begin, count))
            held, count, begin = [rest], count - begin, 0
            yield Values([self._windows(rest.rows(slice(0, min(reach, count), self._stride)))])
            begin = self._shift

    def _windows(self, block: Block) -> Any:
        first, numbers = block.element(0), np.arange(len(block))
        count = sum(1 for _ in leaves(first))
        if count == 1 and not isinstance(first, tuple | Mapping):
            return self._dataset_of(ValueStage(block))
        places = iter(range(count))

        def component(place: int) -> Any:
            return self._dataset_of(
                ValueStage(Computed(lambda value: list(leaves(value))[place], block, numbers, None))
            )

        return mapped(lambda _: component(next(places)), first)


def _shapes_in(shapes: Any) -> list[Any]:
    """The shapes in a structure, where a shape is a list, a tuple of numbers, or None."""
    if shapes is None or isinstance(shapes, list):
        return [shapes]
    if isinstance(shapes, Mapping):
        return [each for value in shapes.values() for each in _shapes_in(value)]
    if isinstance(shapes, tuple) and all(each is None or isinstance(each, int) for each in shapes) and shapes:
        return [list(shapes)]
    if shapes == ():
        return [[]]
    return [each for value in shapes for each in _shapes_in(value)]


def _filled_up(arrays: tuple[Any, ...], shape: Any, fill: Any) -> Any:
    if len({each.ndim for each in arrays}) > 1:
        raise DataError("padded_batch expects components with as many axes in each element.")
    largest = np.max([each.shape for each in arrays], axis=0).astype(int).tolist() if arrays[0].ndim else []
    if shape is not None:
        if len(shape) != len(largest):
            raise DataError(f"padded_batch expects shapes with {len(largest)} axes. Received: {shape}.")
        wanted = [size if given in (None, -1) else given for given, size in zip(shape, largest, strict=True)]
        if any(size > given for size, given in zip(largest, wanted, strict=True)):
            raise DataError(f"padded_batch: an element of shape {largest} does not fit into {wanted}.")
        largest = wanted
    if all(each.shape == tuple(largest) for each in arrays):
        return stacked(list(arrays))
    made = np.full((len(arrays), *largest), 0 if fill is None else fill, arrays[0].dtype)
    for row, each in zip(made, arrays, strict=True):
        row[tuple(map(slice, each.shape))] = each
    return made
