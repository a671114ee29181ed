"""Ordered: the transformations of a data set that choose and order elements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

from distrib.base.arguments import checked
from distrib.base.errors import ConfigError
from distrib.data.pipeline.ordering import (
    ConcatenateStage,
    EnumerateStage,
    RepeatStage,
    ShardStage,
    ShuffleStage,
    SkipStage,
    TakeStage,
)
from distrib.data.pipeline.sources import Stage

_PREFETCHED = 2
"""How many elements are computed ahead where the number is left to the library."""


class Ordered(ABC):
    """What `Dataset` can do with its elements. The argument `name` of TensorFlow is taken and not looked at."""

    @property
    @abstractmethod
    def stage(self) -> Stage:
        """The last step of the pipeline."""

    @abstractmethod
    def followed_by(self, stage: Stage, prefetched: int = 0) -> Self:
        """A data set with one more step.

        Args:
            stage: the step.
            prefetched: how many elements a thread computes ahead from here on.
        """

    # --- order --------------------------------------------------------------------------------------------------

    @checked
    def shuffle(
        self,
        buffer_size: int,
        seed: int | None = None,
        reshuffle_each_iteration: bool | None = True,
        name: str | None = None,
    ) -> Self:
        """Elements in a random order: each is drawn from a buffer, where the next one takes its place.

        Args:
            buffer_size: how many elements are in the buffer; the number of all for a uniform order.
            seed: of the draws; by default that of `fit`, which the replicas have agreed on, or the global one.
            reshuffle_each_iteration: whether every pass has another order.
            name: not looked at.
        """
        at_least(1, buffer_size=buffer_size)
        each_time = reshuffle_each_iteration is not False
        return self.followed_by(ShuffleStage(self.stage, buffer_size, seed, each_time))

    @checked
    def repeat(self, count: int | None = None, name: str | None = None) -> Self:
        """All elements, several times.

        Args:
            count: how many times; None or -1 for without end.
            name: not looked at.
        """
        return self.followed_by(RepeatStage(self.stage, count))

    @checked
    def take(self, count: int, name: str | None = None) -> Self:
        """The first elements.

        Args:
            count: how many; -1 for all.
            name: not looked at.
        """
        return self.followed_by(TakeStage(self.stage, count))

    @checked
    def skip(self, count: int, name: str | None = None) -> Self:
        """All but the first elements.

        Args:
            count: how many are left out; -1 for all.
            name: not looked at.
        """
        return self.followed_by(SkipStage(self.stage, count))

    @checked
    def shard(self, num_shards: int, index: int, name: str | None = None) -> Self:
        """Every `num_shards`-th element. `fit` divides batches itself: this is for loops of one's own.

        Args:
            num_shards: number of parts.
            index: which part, from 0.
            name: not looked at.
        """
        if not 0 <= index < num_shards:
            raise ConfigError(
                f"Expected 0 <= index < num_shards. Received: index={index}, num_shards={num_shards}."
            )
        return self.followed_by(ShardStage(self.stage, num_shards, index))

    @checked
    def concatenate(self, dataset: Any, name: str | None = None) -> Self:
        """These elements, and then those of another data set.

        Args:
            dataset: the other one.
            name: not looked at.
        """
        return self.followed_by(ConcatenateStage([self.stage, stage_of(dataset)]))

    @checked
    def enumerate(self, start: int = 0, name: str | None = None) -> Self:
        """Elements with their numbers: `(number, element)`.

        Args:
            start: the first number.
            name: not looked at.
        """
        return self.followed_by(EnumerateStage(self.stage, start))


def stage_of(dataset: Any) -> Stage:
    """The last step of a data set. Raises `ConfigError` for anything else."""
    if not isinstance(dataset, Ordered):
        raise ConfigError(f"Expected a Dataset. Received: {type(dataset).__name__}.")
    return dataset.stage


def at_least(least: int, **given: int) -> None:
    """Raise `ConfigError` for a number below, by its name."""
    for name, value in given.items():
        if value < least:
            raise ConfigError(f"Expected {name} >= {least}. Received: {name}={value}.")
