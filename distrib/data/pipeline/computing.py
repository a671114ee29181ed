"""Stages that compute with elements.

`map` computes where a value is asked for; the others look at every element.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.base.errors import ConfigError, DataError, DistribError
from distrib.data.pipeline.batch_blocks import batch_of
from distrib.data.pipeline.blocks import Block, Computed, Slices, Values
from distrib.data.pipeline.iteration import Iteration
from distrib.data.pipeline.ordering import After
from distrib.data.pipeline.sources import UNKNOWN, Elements, Stage
from distrib.data.pipeline.structure import as_component, leaves, mapped

_AT_ONCE = 64
"""Elements that are computed together, at most, where each is looked at."""


class MapStage(After):
    """What a function makes of each element.

    Args:
        source: the stage before.
        function: takes the components of an element.
        num_threads: None to compute in the thread that asks.
    """

    def __init__(self, source: Stage, function: Callable[..., Any], num_threads: int | None) -> None:
        super().__init__(source)
        self._function, self._num_threads = on_components(function), num_threads

    def blocks(self, iteration: Iteration) -> Elements:
        number = 0
        for block in self._source.blocks(iteration):
            numbers = np.arange(number, number + len(block))
            yield Computed(self._function, block, numbers, iteration.pool(self._num_threads))
            number += len(block)


class FilterStage(After):
    """The elements for which a function is true; or all until it is not."""

    def __init__(self, source: Stage, predicate: Callable[..., Any], ends: bool = False) -> None:
        super().__init__(source)
        self._predicate, self._ends = predicate, ends

    @property
    def cardinality(self) -> int:
        return UNKNOWN

    def blocks(self, iteration: Iteration) -> Elements:
        number = 0
        for values in values_of(self._source.blocks(iteration)):
            kept = []
            for value in values:
                if self._is_kept(value, number):
                    kept.append(value)
                elif self._ends:
                    yield Values(kept)
                    return
                number += 1
            if kept:
                yield Values(kept)

    def _is_kept(self, value: Any, number: int) -> bool:
        try:
            return bool(np.asarray(self._predicate(*_arguments(value))))
        except DistribError:
            raise
        except Exception as error:
            raise DataError(
                f"The function of filter failed at element {number}: {type(error).__name__}: {error}"
            ) from error


class InterleaveStage(After):
    """The elements of data sets that a function makes of each element: some of each in turn.

    Args:
        source: the stage before.
        function: returns a data set.
        cycle_length: how many are open at a time.
        block_length: how many elements are taken of each in turn.
        stage_of: the stage of a data set.
    """

    def __init__(
        self,
        source: Stage,
        function: Callable[..., Any],
        cycle_length: int,
        block_length: int,
        stage_of: Callable[[Any], Stage],
    ) -> None:
        super().__init__(source)
        self._function, self._stage_of = function, stage_of
        self._cycle_length, self._block_length = cycle_length, block_length

    @property
    def cardinality(self) -> int:
        return UNKNOWN

    def blocks(self, iteration: Iteration) -> Elements:
        opened = 0
        waiting = (value for values in values_of(self._source.blocks(iteration)) for value in values)
        slots: list[Any] = [None] * self._cycle_length
        num_open, has_more, at, taken = 0, True, 0, 0
        while has_more or num_open:
            if slots[at] is None and has_more:
                try:
                    value = next(waiting)
                except StopIteration:
                    has_more = False
                    continue
                stage = self._stage_of(self._function(*_arguments(value)))
                slots[at] = _one_by_one(stage.blocks(iteration.of(opened)))
                opened, num_open, taken = opened + 1, num_open + 1, 0
            elif slots[at] is None:
                at, taken = (at + 1) % self._cycle_length, 0
            elif (element := next(slots[at], None)) is None:
                slots[at] = None
                num_open -= 1
                at, taken = (at + 1) % self._cycle_length, 0
            else:
                yield element
                taken += 1
                if taken == self._block_length:
                    at, taken = (at + 1) % self._cycle_length, 0


class UnbatchStage(After):
    """The rows of each element."""

    @property
    def cardinality(self) -> int:
        return UNKNOWN

    def blocks(self, iteration: Iteration) -> Elements:
        for block in self._source.blocks(iteration):
            for index in range(len(block)):
                batch = batch_of(block, index)
                yield Slices(_rows(block.element(index))) if batch is None else batch


def _rows(element: Any) -> Any:
    lengths = {len(each) if np.ndim(each) else -1 for each in leaves(element)}
    if len(lengths) > 1 or -1 in lengths:
        raise DataError("unbatch expects components with rows, as many in each.")
    return element


def _one_by_one(blocks: Elements) -> Elements:
    for block in blocks:
        for index in range(len(block)):
            yield block.rows(slice(index, index + 1))


def values_of(blocks: Elements) -> Any:
    """The values of blocks, in lists of some at a time."""
    for block in blocks:
        for begin in range(0, len(block), _AT_ONCE):
            part: Block = block.rows(slice(begin, min(begin + _AT_ONCE, len(block))))
            yield part.elements()


def on_components(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """A function of a whole element. Raises `ConfigError` for what is no function."""
    if not callable(function):
        raise ConfigError(f"map expects a function. Received: {type(function).__name__}.")
    return lambda value: mapped(as_component, function(*_arguments(value)))


def _arguments(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,)
