"""Stages that choose and order elements, without looking at them."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.data.pipeline.blocks import Block, Picked, Slices, Together, join
from distrib.data.pipeline.iteration import Iteration
from distrib.data.pipeline.sources import INFINITE, UNKNOWN, Elements, Stage
from distrib.data.pipeline.structure import leaves, mapped


class After(Stage):
    """A stage behind another one.

    Args:
        source: the stage before.
    """

    def __init__(self, source: Stage) -> None:
        self._source, self.place = source, source.place + 1

    @property
    def source(self) -> Stage:
        """The stage before."""
        return self._source

    @property
    def cardinality(self) -> int:
        return self._source.cardinality

    def _capped(self, count: int) -> int:
        """At most so many; of a negative number, all."""
        mine = self._source.cardinality
        if count < 0 or mine == UNKNOWN:
            return mine if count else 0
        return count if mine == INFINITE else min(mine, count)


class TakeStage(After):
    """The first elements; -1 for all."""

    def __init__(self, source: Stage, count: int) -> None:
        super().__init__(source)
        self._count = count

    @property
    def cardinality(self) -> int:
        return self._capped(self._count)

    def blocks(self, iteration: Iteration) -> Elements:
        left = self._count
        if left < 0:
            yield from self._source.blocks(iteration)
            return
        if not left:
            return
        for block in self._source.blocks(iteration):
            yield block if len(block) <= left else block.rows(slice(0, left))
            left -= min(left, len(block))
            if not left:
                return


class SkipStage(After):
    """All but the first elements; -1 for none."""

    def __init__(self, source: Stage, count: int) -> None:
        super().__init__(source)
        self._count = count

    @property
    def cardinality(self) -> int:
        mine = self._source.cardinality
        if self._count < 0:
            return 0
        return mine if mine < 0 else max(0, mine - self._count)

    def blocks(self, iteration: Iteration) -> Elements:
        left = self._count
        if left < 0:
            return
        for block in self._source.blocks(iteration):
            skipped = min(left, len(block))
            left -= skipped
            if skipped < len(block):
                yield block.rows(slice(skipped, len(block))) if skipped else block


class ShardStage(After):
    """Every `num_shards`-th element, from `index` on."""

    def __init__(self, source: Stage, num_shards: int, index: int) -> None:
        super().__init__(source)
        self._num_shards, self._index = num_shards, index

    @property
    def cardinality(self) -> int:
        mine = self._source.cardinality
        return mine if mine < 0 else len(range(self._index, mine, self._num_shards))

    def blocks(self, iteration: Iteration) -> Elements:
        begin = self._index
        for block in self._source.blocks(iteration):
            if begin < len(block):
                yield block.rows(slice(begin, len(block), self._num_shards))
            begin = (begin - len(block)) % self._num_shards if begin < len(block) else begin - len(block)


class RepeatStage(After):
    """All elements, several times; None or -1 for without end."""

    def __init__(self, source: Stage, count: int | None) -> None:
        super().__init__(source)
        self._count = -1 if count is None else count

    @property
    def cardinality(self) -> int:
        mine = self._source.cardinality
        if not self._count or not mine:
            return 0
        if self._count < 0 or mine == INFINITE:
            return INFINITE
        return UNKNOWN if mine == UNKNOWN else mine * self._count

    def blocks(self, iteration: Iteration) -> Elements:
        for number in itertools.count() if self._count < 0 else range(self._count):
            is_empty = True
            for block in self._source.blocks(iteration.of(number)):
                is_empty = is_empty and not len(block)
                yield block
            if is_empty:
                return


class ConcatenateStage(Stage):
    """The elements of one data set after those of another."""

    def __init__(self, sources: list[Stage]) -> None:
        self._sources, self.place = sources, 1 + max(each.place for each in sources)

    @property
    def cardinality(self) -> int:
        counts = [each.cardinality for each in self._sources]
        return INFINITE if INFINITE in counts else UNKNOWN if UNKNOWN in counts else sum(counts)

    def blocks(self, iteration: Iteration) -> Elements:
        for number, source in enumerate(self._sources):
            yield from source.blocks(iteration.of(number))


class ZipStage(Stage):
    """Elements of several data sets side by side, as many as the shortest has.

    Args:
        sources: a structure of stages.
    """

    def __init__(self, sources: Any) -> None:
        self._sources, self.place = sources, 1 + max(each.place for each in leaves(sources))

    @property
    def cardinality(self) -> int:
        counts = [each.cardinality for each in leaves(self._sources)]
        known = [each for each in counts if each >= 0]
        if UNKNOWN in counts:
            return UNKNOWN
        return min(known) if known else INFINITE

    def blocks(self, iteration: Iteration) -> Elements:
        numbers = itertools.count()
        streams = mapped(lambda stage: stage.blocks(iteration.of(next(numbers))), self._sources)
        held: dict[int, Block] = {}
        while True:
            for stream in leaves(streams):
                while id(stream) not in held or not len(held[id(stream)]):
                    block = next(stream, None)
                    if block is None:
                        return
                    held[id(stream)] = block
            count = min(map(len, held.values()))
            ready = {key: block.rows(slice(0, count)) for key, block in held.items()}
            held = {key: block.rows(slice(count, len(block))) for key, block in held.items()}
            yield Together(mapped(lambda stream, ready=ready: ready[id(stream)], streams))


class EnumerateStage(After):
    """Elements with their numbers."""

    def __init__(self, source: Stage, start: int) -> None:
        super().__init__(source)
        self._start = start

    def blocks(self, iteration: Iteration) -> Elements:
        number = self._start
        for block in self._source.blocks(iteration):
            yield Together((Slices(np.arange(number, number + len(block))), block))
            number += len(block)


class ShuffleStage(After):
    """Elements in a random order: each is drawn from a buffer, where the next one takes its place.

    Args:
        source: the stage before.
        buffer_size: how many are in the buffer.
        seed: of the draws; None for that of the pass.
        each_time: whether every pass has another order.
    """

    def __init__(self, source: Stage, buffer_size: int, seed: int | None, each_time: bool) -> None:
        super().__init__(source)
        self._buffer_size, self._seed, self._each_time = buffer_size, seed, each_time

    def blocks(self, iteration: Iteration) -> Elements:
        draws = iteration.draws(self._seed, self.place, self._each_time)
        source, held, count = self._source.blocks(iteration), [], 0
        for block in source:
            held.append(block)
            count += len(block)
            if count > self._buffer_size:
                break
        else:
            if count:
                yield join(held).rows(draws.permutation(count))
            return
        # Elements are numbered; a block has those from its offset on. What is in the buffer are numbers.
        buffer: list[int] = []
        blocks: list[Block] = []
        offsets: list[int] = []
        number = 0
        for block in itertools.chain(held, source):
            blocks.append(block)
            offsets.append(number)
            numbers = range(number, number + len(block))
            number += len(block)
            fills = min(len(block), self._buffer_size - len(buffer))
            buffer += numbers[:fills]
            places = draws.integers(self._buffer_size, size=len(block) - fills).tolist()
            chosen = []
            for place, each in zip(places, numbers[fills:], strict=True):
                chosen.append(buffer[place])
                buffer[place] = each
            if chosen:
                yield _picked(blocks, offsets, np.array(chosen))
            if len(blocks) > 2 * self._buffer_size:  # some have nothing in the buffer any more
                kept = sorted({bisect_right(offsets, each) - 1 for each in buffer})
                blocks, offsets = [blocks[at] for at in kept], [offsets[at] for at in kept]
        yield _picked(blocks, offsets, np.array(buffer)[draws.permutation(len(buffer))])


def _picked(blocks: list[Block], offsets: list[int], numbers: Array) -> Block:
    """The elements with these numbers."""
    if len(blocks) == 1:
        return blocks[0].rows(numbers - offsets[0])
    which = np.searchsorted(offsets, numbers, "right") - 1
    return Picked(list(blocks), which, numbers - np.array(offsets)[which])
