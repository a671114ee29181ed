"""`PyDataset`: the base class of batches by their numbers, as `keras.utils.PyDataset`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from distrib.base.errors import ConfigError


class PyDataset:
    """Batches that a class of one's own makes, each by its number.

    A subclass has `__getitem__`, which returns a whole batch, `x`, `(x, y)` or `(x, y, sample_weight)`, and `__len__`
    or `num_batches`. In `fit` every replica makes the whole batch, the same on all, and computes its part; what is
    random in it must follow from the number of the batch and from a seed.

    Args:
        workers: more than 1 to let a thread make batches ahead. It is one thread, so they are made in order.
        use_multiprocessing: without effect: no processes are started.
        max_queue_size: how many batches are made ahead.

    Attributes:
        workers: as given.
        use_multiprocessing: as given.
        max_queue_size: as given.
    """

    workers: int = 1
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers, self.use_multiprocessing = workers, use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        raise ConfigError(
            f"{type(self).__name__} needs a method __getitem__(self, index), which returns a batch."
        )

    def __iter__(self) -> Iterator[Any]:
        count = self.num_batches
        for index in itertools.count() if count is None else range(count):
            yield self[index]

    @property
    def num_batches(self) -> int | None:
        """How many batches there are; None for batches without end. Raises `ConfigError` if nothing says it."""
        if hasattr(self, "__len__"):
            return len(self)
        raise ConfigError(
            f"{type(self).__name__} needs a method __len__, or a property num_batches, which is None for batches "
            "without end."
        )

    def on_epoch_begin(self) -> None:
        """Called at the beginning of every epoch; for subclasses."""

    def on_epoch_end(self) -> None:
        """Called at the end of every epoch; for subclasses."""
