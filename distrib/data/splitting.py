"""`split_dataset`: the first and the last examples of a data set, such as those for training and for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from distrib.base.arguments import checked
from distrib.base.errors import ConfigError, DataError
from distrib.data.pipeline.batching import BatchStage, PaddedBatchStage
from distrib.data.pipeline.buffering import PrefetchStage
from distrib.data.pipeline.dataset import Dataset
from distrib.data.pipeline.iteration import Iteration
from distrib.data.pipeline.ordering import After
from distrib.data.pipeline.sources import INFINITE, UNKNOWN, Elements, Stage


class _SameEachTime(After):
    """The elements of a first pass, in that order, in every pass: what is drawn before is drawn alike."""

    def __init__(self, source: Stage, seed: int) -> None:
        super().__init__(source)
        self._seed = seed

    def blocks(self, iteration: Iteration) -> Elements:
        return self._source.blocks(iteration.repeated(self._seed))


@checked
def split_dataset(
    dataset: Any,
    left_size: Any = None,
    right_size: Any = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Dataset, Dataset]:
    """Two data sets: the first examples of another one, and the last.

    Nothing is copied: examples are computed when they are used. A data set that is shuffled is split in the order of
    one pass, which does not change any more; so no example is in both.

    Args:
        dataset: a `Dataset`, whose batches are split into examples before, and put together again; an array; or
            a list or tuple of arrays of one length.
        left_size: how many examples the first has: an integer, or a fraction between 0 and 1; by default those that
            the second does not have.
        right_size: likewise of the second.
        shuffle: whether the examples are drawn at random.
        seed: of this draw; the same on all replicas.
        preferred_backend: without effect.

    Raises:
        ConfigError: sizes that are no numbers, or too large; a data set without end.
        DataError: arrays of different lengths, or nothing that could be split.
    """
    del preferred_backend
    stage: Stage
    batch_size, prefetched = None, 0
    if isinstance(dataset, Dataset):
        stage, prefetched = dataset.stage, dataset.prefetched
        while isinstance(stage, PrefetchStage):
            stage = stage.source
        if isinstance(stage, BatchStage) and not isinstance(stage, PaddedBatchStage):
            batch_size = stage.size
            stage = stage.source
        stage = _SameEachTime(stage, Iteration.default_seed())
    elif isinstance(dataset, list | tuple | np.ndarray | Mapping):
        arrays = tuple(map(np.asarray, dataset)) if isinstance(dataset, list | tuple) else dataset
        stage = Dataset.from_tensor_slices(arrays).stage
    else:
        raise DataError(
            f"split_dataset expects a Dataset, an array, or a list of arrays. Received: {type(dataset).__name__}."
        )
    count = _count(stage)
    left, right = _sizes(left_size, right_size, count)
    whole = Dataset(stage, prefetched=prefetched)
    if shuffle:
        draw = Iteration.default_seed() if seed is None else seed
        whole = whole.shuffle(count, draw, reshuffle_each_iteration=False)
    parts = whole.take(left), whole.skip(count - right)
    if batch_size is None:
        return parts
    return parts[0].batch(batch_size), parts[1].batch(batch_size)


def _count(stage: Stage) -> int:
    if stage.cardinality == INFINITE:
        raise ConfigError(
            "split_dataset expects data with an end. Received: a Dataset that repeats without end."
        )
    if stage.cardinality != UNKNOWN:
        return stage.cardinality
    iteration = Iteration()
    try:
        return sum(map(len, stage.blocks(iteration)))
    finally:
        iteration.close()


def _sizes(left: Any, right: Any, count: int) -> tuple[int, int]:
    """Numbers of examples of both parts. Raises `ConfigError` for those that do not fit."""
    if left is None and right is None:
        raise ConfigError("split_dataset expects left_size, right_size or both. Received: none.")
    for name, size in (("left_size", left), ("right_size", right)):
        is_number = isinstance(size, int | float | np.integer | np.floating) and not isinstance(size, bool)
        largest = count if isinstance(size, int | np.integer) else 1
        if size is not None and not (is_number and 0 < size < largest):
            raise ConfigError(
                f"Expected {name} to be an integer from 1 to {count - 1}, or a fraction between 0 and 1. "
                f"Received: {name}={size!r}."
            )
    num_left, num_right = (
        None if size is None else int(size) if isinstance(size, int | np.integer) else round(size * count)
        for size in (left, right)
    )
    if num_left is None:
        assert num_right is not None
        num_left = count - num_right
    if num_right is None:
        num_right = count - num_left
    if num_left + num_right > count or not num_left or not num_right:
        raise ConfigError(
            f"{count} examples cannot be split into {num_left} and {num_right}. Received: left_size={left}, "
            f"right_size={right}."
        )
    return num_left, num_right
