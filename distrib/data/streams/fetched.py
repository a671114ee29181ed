"""Data that is fetched by indices: loaders of PyTorch, and data sets of Hugging Face.

The indices of a batch are the same on every replica, and each fetches those of its own part alone.
"""

from __future__ import annotations

import importlib
import zlib
from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, DataError, DistribError
from distrib.base.logs import LOGGER
from distrib.data.pipeline.structure import mapped
from distrib.data.schedule import permutation
from distrib.data.streams.source import BatchSource, GlobalBatch
from distrib.data.streams.sources import as_batch

_LABELS = ("label", "labels")
"""Names of targets, as data sets of Hugging Face have them."""


def inputs_and_labels(columns: Mapping[str, Any]) -> tuple[Any, Any]:
    """The inputs among named arrays, and the column of labels; None where there is none.

    One input is an array; several are a dict.
    """
    labels = [name for name in _LABELS if name in columns]
    if not labels:
        return dict(columns), None
    others = {name: value for name, value in columns.items() if name != labels[0]}
    return (next(iter(others.values())) if len(others) == 1 else others), columns[labels[0]]


class FetchedSource(BatchSource):
    """Batches of examples that are fetched by their indices."""

    @abstractmethod
    def fetch(self, indices: Sequence[int]) -> Any:
        """Examples, a structure of arrays with one row for each index."""

    def fetched(self, indices: Sequence[int]) -> Any:
        """See `fetch`. Raises `DataError` for what the user's code has raised."""
        try:
            return as_batch(self.fetch(indices))
        except DistribError:
            raise
        except Exception as error:
            raise DataError(
                f"The data failed among the examples {list(indices)[:8]}: {type(error).__name__}: {error}"
            ) from error


class FetchedBatch(GlobalBatch):
    """The indices of a batch.

    Args:
        source: fetches them.
        indices: of all examples of the batch.
    """

    def __init__(self, source: FetchedSource, indices: Sequence[int]) -> None:
        self._source, self._indices, self.size = source, list(indices), len(indices)
        self.checksum = zlib.crc32(np.array(self._indices, np.int64).tobytes())

    def part(self, rows: slice) -> Any:
        if rows.start >= rows.stop:  # shapes are known from one
            return mapped(lambda array: array[:0], self._source.fetched(self._indices[:1]))
        return self._source.fetched(self._indices[rows])


class LoaderSource(FetchedSource):
    """A `DataLoader` of PyTorch over a data set with indices.

    Its sampler draws the same on all replicas: from its generator, or where it has none, from the seed of `fit`. Its
    workers are threads here: processes that are forked beside MPI are not safe.

    Args:
        loader: the loader.

    Raises:
        ConfigError: a `DistributedSampler`: each replica takes its part of every batch anyway.
    """

    def __init__(self, loader: Any) -> None:
        self._loader, self._dataset = loader, loader.dataset
        if type(loader.sampler).__name__ == "DistributedSampler":
            raise ConfigError(
                "Each replica takes its part of every batch of the DataLoader, and DistributedSampler would divide "
                "the examples once more. Leave the sampler out, and let batch_size be that of all replicas together."
            )
        if loader.worker_init_fn is not None:
            LOGGER.warning("worker_init_fn of the DataLoader is not called: its workers are threads.")
        self._pool: ThreadPoolExecutor | None = None
        self.prefetched = 2 * loader.num_workers

    @property
    def num_batches(self) -> int | None:
        try:
            return len(self._loader)
        except TypeError:
            return None

    def batches(self, pass_index: int, seed: int) -> Generator[GlobalBatch]:
        sampler = self._loader.sampler
        draws = getattr(sampler, "generator", 0) is None
        if draws:
            state = np.random.SeedSequence([seed, pass_index]).generate_state(1)
            sampler.generator = importlib.import_module("torch").Generator()
            sampler.generator.manual_seed(int(state[0]))
        try:
            for indices in self._loader.batch_sampler:
                yield FetchedBatch(self, indices)
        finally:
            if draws:
                sampler.generator = None

    def fetch(self, indices: Sequence[int]) -> Any:
        if hasattr(self._dataset, "__getitems__"):
            examples = self._dataset.__getitems__(list(indices))
        elif self._loader.num_workers:
            self._pool = self._pool or ThreadPoolExecutor(self._loader.num_workers, "loader")
            examples = list(self._pool.map(self._dataset.__getitem__, indices))
        else:
            examples = [self._dataset[index] for index in indices]
        return self._loader.collate_fn(examples)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


class HuggingFaceSource(FetchedSource):
    """A data set of Hugging Face: its column `label` or `labels` has the targets, the others the inputs.

    Args:
        dataset: the data set.
        batch_size: examples of a batch over all replicas.
        shuffle: draw a new order for every pass.
    """

    def __init__(self, dataset: Any, batch_size: int, shuffle: bool) -> None:
        self._dataset = dataset.with_format("numpy")
        self._batch_size, self._shuffle = batch_size, shuffle

    @property
    def num_batches(self) -> int | None:
        return -(-len(self._dataset) // self._batch_size)

    def batches(self, pass_index: int, seed: int) -> Generator[GlobalBatch]:
        count = len(self._dataset)
        order: Array = permutation(count, seed, pass_index) if self._shuffle else np.arange(count)
        for begin in range(0, count, self._batch_size):
            yield FetchedBatch(self, order[begin : begin + self._batch_size].tolist())

    def fetch(self, indices: Sequence[int]) -> Any:
        found: Mapping[str, Any] = self._dataset[list(indices)]
        columns = {name: np.asarray(value) for name, value in found.items()}
        texts = [name for name, value in columns.items() if value.dtype.kind in "OUS"]
        if texts:
            raise DataError(
                f"Columns of text cannot be trained on: {', '.join(texts)}. Encode or remove them."
            )
        x, y = inputs_and_labels(columns)
        return (x,) if y is None else (x, y)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "batch_size": self._batch_size, "shuffle": self._shuffle}
