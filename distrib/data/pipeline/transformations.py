"""Transformations: each makes another data set of one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from distrib.base.arguments import checked
from distrib.data.pipeline.batching import BatchStage, PaddedBatchStage, WindowStage
from distrib.data.pipeline.buffering import CacheStage, FileCacheStage, PrefetchStage
from distrib.data.pipeline.computing import FilterStage, InterleaveStage, MapStage, UnbatchStage
from distrib.data.pipeline.iteration import AUTOTUNE
from distrib.data.pipeline.ordered import Ordered, at_least, stage_of

_PREFETCHED = 2
"""How many elements are computed ahead where the number is left to the library."""


class Transformations(Ordered):
    """What `Dataset` computes with its elements, and puts together of them."""

    # --- what is computed ---------------------------------------------------------------------------------------

    @checked
    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Self:
        """What a function makes of each element. It is called where the element is used.

        Args:
            map_func: takes the components of an element, and returns those of another.
            num_parallel_calls: number of threads, or `AUTOTUNE` for as many as there are cores; None for none.
            deterministic: without effect: the order stays.
            name: not looked at.
        """
        return self.followed_by(MapStage(self.stage, map_func, num_parallel_calls))

    @checked
    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Self:
        """The elements for which a function is true. Every replica computes all elements up to here.

        Args:
            predicate: takes the components of an element.
            name: not looked at.
        """
        return self.followed_by(FilterStage(self.stage, predicate))

    @checked
    def take_while(self, predicate: Callable[..., Any], name: str | None = None) -> Self:
        """The elements before the first one for which a function is false.

        Args:
            predicate: takes the components of an element.
            name: not looked at.
        """
        return self.followed_by(FilterStage(self.stage, predicate, ends=True))

    @checked
    def flat_map(self, map_func: Callable[..., Any], name: str | None = None) -> Self:
        """The elements of data sets that a function makes of each element, one after the other.

        Args:
            map_func: returns a data set.
            name: not looked at.
        """
        return self.followed_by(InterleaveStage(self.stage, map_func, 1, 1, stage_of))

    @checked
    def interleave(
        self,
        map_func: Callable[..., Any],
        cycle_length: int | None = None,
        block_length: int | None = None,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Self:
        """The elements of data sets that a function makes of each element: some of each in turn.

        Args:
            map_func: returns a data set.
            cycle_length: how many are open at a time; as many as cores by default.
            block_length: how many elements are taken of each in turn; 1 by default.
            num_parallel_calls: without effect.
            deterministic: without effect: the order is that of one thread.
            name: not looked at.
        """
        cycle = len(os.sched_getaffinity(0)) if cycle_length in (None, AUTOTUNE) else cycle_length
        block = 1 if block_length is None else block_length
        assert cycle is not None
        at_least(1, cycle_length=cycle, block_length=block)
        return self.followed_by(InterleaveStage(self.stage, map_func, cycle, block, stage_of))

    def apply(self, transformation_func: Callable[[Self], Self]) -> Self:
        """The data set that a function makes of this one.

        Args:
            transformation_func: takes a data set.
        """
        found = transformation_func(self)
        stage_of(found)
        return found

    # --- batches ------------------------------------------------------------------------------------------------

    @checked
    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Self:
        """Batches of elements, stacked along a new first axis. In `fit` a batch is that of all replicas together.

        Args:
            batch_size: elements of a batch.
            drop_remainder: whether the last batch is left out where it is smaller.
            num_parallel_calls: without effect.
            deterministic: without effect.
            name: not looked at.
        """
        at_least(1, batch_size=batch_size)
        return self.followed_by(BatchStage(self.stage, batch_size, drop_remainder))

    @checked
    def padded_batch(
        self,
        batch_size: int,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Self:
        """Batches of elements of different shapes, each filled up. Every replica computes all elements.

        Args:
            batch_size: elements of a batch.
            padded_shapes: a structure of shapes; None or -1 for the largest size in the batch.
            padding_values: a structure of numbers, or one for all; 0 by default.
            drop_remainder: whether the last batch is left out where it is smaller.
            name: not looked at.
        """
        at_least(1, batch_size=batch_size)
        stage = PaddedBatchStage(self.stage, batch_size, drop_remainder, padded_shapes, padding_values)
        return self.followed_by(stage)

    def unbatch(self, name: str | None = None) -> Self:
        """The rows of each element.

        Args:
            name: not looked at.
        """
        return self.followed_by(UnbatchStage(self.stage))

    @checked
    def window(
        self,
        size: int,
        shift: int | None = None,
        stride: int = 1,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Self:
        """Windows of elements. Each component of a window is a data set; `flat_map` makes batches of them.

        Args:
            size: elements of a window.
            shift: from the beginning of one to that of the next; `size` by default.
            stride: from one element of a window to the next.
            drop_remainder: whether the last windows are left out where they are smaller.
            name: not looked at.
        """
        shift = size if shift is None else shift
        at_least(1, size=size, shift=shift, stride=stride)
        return self.followed_by(WindowStage(self.stage, size, shift, stride, drop_remainder, type(self)))

    # --- what is kept -------------------------------------------------------------------------------------------

    @checked
    def cache(self, filename: str | Path = "", name: str | None = None) -> Self:
        """Keep the elements of the first whole pass, and their order.

        Args:
            filename: keep them in this file, with the ending `.npz`, also for other runs; every replica computes all
                elements for it. By default in memory, where each replica keeps what it has computed.
            name: not looked at.
        """
        return self.followed_by(
            FileCacheStage(self.stage, filename) if str(filename) else CacheStage(self.stage)
        )

    @checked
    def prefetch(self, buffer_size: int, name: str | None = None) -> Self:
        """Let a thread compute elements ahead.

        Args:
            buffer_size: how many; `AUTOTUNE` for two.
            name: not looked at.
        """
        size = _PREFETCHED if buffer_size == AUTOTUNE else buffer_size
        at_least(0, buffer_size=size)
        return self.followed_by(PrefetchStage(self.stage, size), size)
