"""Schedule: which positions of which permutation make up the batches of an epoch.

Training reads an endless sequence of passes over the data, each in an order of its own; pass p is the
permutation that (seed, p) gives, alike on every replica. An epoch is one pass, or `steps_per_epoch` batches of
that sequence, going on where the epoch before it stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, DataError
from distrib.base.ranges import Range


class Positions(NamedTuple):
    """A batch: the positions `range` of the order of pass `pass_index`."""

    pass_index: int
    range: Range


class Schedule:
    """The batches of every epoch.

    Args:
        num_examples: length of the data set.
        batch_size: number of examples of a batch over all replicas; the last one of a pass may be short.
        steps_per_epoch: batches an epoch; by default as many as a pass has.
        shuffle: draw a new order for every pass.
        seed: seed of the orders.

    Raises:
        DataError: no examples.
        ConfigError: a size below 1.
    """

    def __init__(
        self,
        num_examples: int,
        batch_size: int,
        steps_per_epoch: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        if num_examples < 1:
            raise DataError("Expected at least one example. Received: empty data.")
        if batch_size < 1:
            raise ConfigError(f"Expected batch_size >= 1. Received: batch_size={batch_size}.")
        if steps_per_epoch is not None and steps_per_epoch < 1:
            raise ConfigError(f"Expected steps_per_epoch >= 1. Received: steps_per_epoch={steps_per_epoch}.")
        self.num_examples, self.batch_size = num_examples, batch_size
        self.shuffle, self.seed = shuffle, seed
        self._batches_per_pass = -(-num_examples // batch_size)
        self.steps_per_epoch = steps_per_epoch or self._batches_per_pass
        self._order: tuple[int, Array] | None = None

    def describe(self) -> dict[str, object]:
        """The arguments that determine the batches, as JSON values."""
        return {
            "batch_size": self.batch_size,
            "steps_per_epoch": self.steps_per_epoch,
            "shuffle": self.shuffle,
            "seed": self.seed,
        }

    def identity(self) -> dict[str, object]:
        """What must be the same where a training goes on within an epoch, as JSON values."""
        return {"examples": self.num_examples, "shuffle": self.shuffle, "seed": self.seed}

    def epoch(self, epoch: int) -> Iterator[Positions]:
        """The batches of epoch `epoch`, counted from 0."""
        first = epoch * self.steps_per_epoch
        for index in range(first, first + self.steps_per_epoch):
            pass_index, batch = divmod(index, self._batches_per_pass)
            begin = batch * self.batch_size
            yield Positions(pass_index, Range(begin, min(begin + self.batch_size, self.num_examples)))

    def spans(self, epoch: int) -> list[Positions]:
        """The positions of epoch `epoch`, in order: one span for every pass. As quick however many batches it has."""
        first = epoch * self.steps_per_epoch
        last = first + self.steps_per_epoch - 1
        spans = []
        for index in range(first // self._batches_per_pass, last // self._batches_per_pass + 1):
            before = index * self._batches_per_pass
            begin = max(first - before, 0) * self.batch_size
            end = min((last + 1 - before) * self.batch_size, self.num_examples)
            spans.append(Positions(index, Range(begin, end)))
        return spans

    def cut(self, spans: Sequence[Positions]) -> Iterator[Positions]:
        """Batches of these positions. What is left of an epoch behind some batch is cut as the epoch was."""
        for pass_index, whole in spans:
            for begin in range(whole.begin, whole.end, self.batch_size):
                yield Positions(pass_index, Range(begin, min(begin + self.batch_size, whole.end)))

    def order(self, pass_index: int) -> Array | None:
        """The permutation of a pass, `(num_examples,)`; None for the order of the data."""
        if not self.shuffle:
            return None
        if self._order is None or self._order[0] != pass_index:
            self._order = (pass_index, permutation(self.num_examples, self.seed, pass_index))
        return self._order[1]


def permutation(num_examples: int, seed: int, pass_index: int) -> Array:
    """The order of pass `pass_index`: the same on every machine for the same arguments."""
    # The constant keeps this stream apart from others that are drawn with the same seed.
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, pass_index, 0x5EED])))
    return rng.permutation(num_examples)


def joined(parts: Iterable[Positions]) -> list[Positions]:
    """The same positions in the same order, neighbours of a pass as one span."""
    spans: list[Positions] = []
    for pass_index, part in parts:
        if spans and spans[-1].pass_index == pass_index and spans[-1].range.end == part.begin:
            spans[-1] = Positions(pass_index, Range(spans[-1].range.begin, part.end))
        else:
            spans.append(Positions(pass_index, part))
    return spans
