"""PyDataset: base class of data whose batches are taken by their numbers, as `keras.utils.PyDataset`."""

from __future__ import annotations

from typing import Any

from distrib.base.errors import ConfigError


class PyDataset:
    """Data whose batches are taken by their numbers. A subclass defines `__len__` and `__getitem__`.

    `__getitem__(index)` returns a batch of all replicas together: `(x, y)`, `(x, y, sample_weight)`, or inputs alone.
    What it draws must be the same on every replica.

    Args:
        workers: with more than one, a thread reads batches ahead.
        use_multiprocessing: without effect: batches are read by threads.
        max_queue_size: how many batches are read ahead.
    """

    workers, use_multiprocessing, max_queue_size = 1, False, 10

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers, self.use_multiprocessing = workers, use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        raise ConfigError(f"{type(self).__name__} has no __getitem__(index), which returns a batch.")

    @property
    def num_batches(self) -> int | None:
        """How many batches there are; None for without end."""
        if not hasattr(self, "__len__"):
            raise ConfigError(f"{type(self).__name__} has neither __len__ nor num_batches.")
        return len(self)

    def on_epoch_begin(self) -> None:
        """Called before the first batch of an epoch."""

    def on_epoch_end(self) -> None:
        """Called after the last batch of an epoch."""


Sequence = PyDataset
"""The name in earlier versions of Keras."""
