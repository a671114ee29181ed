"""Data for loops of one's own: what one replica computes of a data set, and functions that make data for each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple

from distrib.autodiff.tensor import as_tensor
from distrib.base.errors import ConfigError
from distrib.base.logs import LOGGER
from distrib.base.ranges import Range
from distrib.data.pipeline.ahead import read_ahead
from distrib.data.pipeline.dataset import Dataset
from distrib.data.pipeline.options import AutoShardPolicy
from distrib.data.pipeline.structure import mapped
from distrib.data.streams.source import GlobalBatch
from distrib.data.streams.sources import DatasetSource


class InputContext:
    """Which part of the input a replica makes.

    Args:
        num_input_pipelines: how many replicas make input.
        input_pipeline_id: which of them this is, from 0.
        num_replicas_in_sync: number of replicas.
    """

    def __init__(
        self, num_input_pipelines: int = 1, input_pipeline_id: int = 0, num_replicas_in_sync: int = 1
    ) -> None:
        self.num_input_pipelines, self.input_pipeline_id = num_input_pipelines, input_pipeline_id
        self.num_replicas_in_sync = num_replicas_in_sync

    def get_per_replica_batch_size(self, global_batch_size: int) -> int:
        """Examples of a replica in a batch.

        Args:
            global_batch_size: examples of all replicas.

        Raises:
            ConfigError: it cannot be divided among them.
        """
        if global_batch_size % self.num_replicas_in_sync:
            raise ConfigError(
                f"The global batch size {global_batch_size} is not divisible by the number of replicas, "
                f"{self.num_replicas_in_sync}. Choose a multiple of it, or experimental_distribute_dataset, which "
                "cuts batches unevenly."
            )
        return global_batch_size // self.num_replicas_in_sync


class ValueContext(NamedTuple):
    """For which replica a value is made.

    Attributes:
        replica_id_in_sync_group: which one, from 0.
        num_replicas_in_sync: number of replicas.
    """

    replica_id_in_sync_group: int = 0
    num_replicas_in_sync: int = 1


class DistributedDataset:
    """The parts that this replica computes of the batches of a data set. `fit` takes it as the data set itself.

    Args:
        source: the batches.
        index: which replica.
        count: number of replicas.
        seed: returns what is drawn from where the data set has no seed, the same on all replicas.
    """

    def __init__(self, source: DatasetSource, index: int, count: int, seed: Callable[[], int]) -> None:
        self.source, self._index, self._count, self._seed = source, index, count, seed
        self._num_begun = 0

    def __iter__(self) -> Iterator[Any]:
        number = self._num_begun
        self._num_begun += 1
        yield from read_ahead(self._parts(self.source.batches(number, self._seed())), self.source.prefetched)

    def _parts(self, batches: Generator[GlobalBatch]) -> Generator[Any]:
        for batch in batches:
            whole = Range(0, batch.size)
            own = whole if batch.is_own else whole.part(self._index, self._count)
            yield mapped(as_tensor, batch.part(own.slice))

    @property
    def element_spec(self) -> Any:
        """Shapes and dtypes of a whole batch; see `Dataset.element_spec`."""
        return self.source.dataset.element_spec

    def __len__(self) -> int:
        count = self.source.num_batches
        if count is None:
            raise TypeError("The number of batches is unknown.")
        return count


class DatasetCreator:
    """A function that makes a data set, for `fit`, as `tf.keras.utils.experimental.DatasetCreator`.

    `fit` divides what it makes among the replicas, so it is called for one input pipeline, whose batches are global.

    Args:
        dataset_fn: takes an `InputContext`, and returns a `Dataset` of batches.
        input_options: without effect.
    """

    def __init__(self, dataset_fn: Callable[[InputContext], Any], input_options: Any = None) -> None:
        if not callable(dataset_fn):
            raise ConfigError(f"DatasetCreator expects a function. Received: {type(dataset_fn).__name__}.")
        self._dataset_fn = dataset_fn

    def make(self) -> Dataset:
        """The data set. Raises `ConfigError` for anything else that the function returns."""
        dataset = self._dataset_fn(InputContext())
        if not isinstance(dataset, Dataset):
            raise ConfigError(f"dataset_fn returns a Dataset. Received: {type(dataset).__name__}.")
        return dataset


class OwnBatch(GlobalBatch):
    """A batch that this replica has made for itself.

    Args:
        batch: any batch.
        rows: which of its examples.
    """

    is_own = True

    def __init__(self, batch: GlobalBatch, rows: Range) -> None:
        self._batch, self._rows, self.size = batch, rows, rows.size

    def part(self, rows: slice) -> Any:
        begin = self._rows.begin
        return self._batch.part(slice(begin + rows.start, begin + rows.stop))


class OwnSource(DatasetSource):
    """Batches that each replica makes for itself, from a data set of its own.

    Args:
        dataset: of batches of a replica.
        parts: into how many every batch is cut, which follow each other.

    Attributes:
        is_own: True.
    """

    is_own = True

    def __init__(self, dataset: Dataset, parts: int = 1) -> None:
        super().__init__(dataset)
        self._parts = parts
        if parts == 1:
            return
        LOGGER.warning(
            "AutoShardPolicy.OFF: every replica computes all examples, so each counts once for every replica."
        )

    @property
    def num_batches(self) -> int | None:
        count = super().num_batches
        return None if count is None else count * self._parts

    def batches(self, pass_index: int, seed: int) -> Generator[GlobalBatch]:
        for batch in super().batches(pass_index, seed):
            for part in range(self._parts):
                yield OwnBatch(batch, Range(0, batch.size).part(part, self._parts))

    def describe(self) -> dict[str, Any]:
        return {"source": type(self).__name__}


def distributed(dataset: Any, index: int, count: int, seed: Callable[[], int]) -> DistributedDataset:
    """The parts of a data set; see `Strategy.experimental_distribute_dataset`."""
    if not isinstance(dataset, Dataset):
        raise ConfigError(
            f"experimental_distribute_dataset expects a Dataset of batches. Received: {type(dataset).__name__}."
        )
    policy = dataset.options().experimental_distribute.auto_shard_policy
    if policy == AutoShardPolicy.FILE:
        raise ConfigError(
            "AutoShardPolicy.FILE is for data sets that read a list of files, which a Dataset does not know. Use "
            "DATA; or distribute_datasets_from_function, where each replica reads files[context.input_pipeline_id::"
            "context.num_input_pipelines]."
        )
    off = policy == AutoShardPolicy.OFF and count > 1
    return DistributedDataset(
        OwnSource(dataset, count) if off else DatasetSource(dataset), index, count, seed
    )


def from_function(
    dataset_fn: Callable[[InputContext], Any], index: int, count: int, seed: Callable[[], int]
) -> DistributedDataset:
    """What a function makes for this replica; see `Strategy.distribute_datasets_from_function`."""
    dataset = dataset_fn(InputContext(count, index, count))
    if not isinstance(dataset, Dataset):
        raise ConfigError(f"dataset_fn returns a Dataset. Received: {type(dataset).__name__}.")
    return DistributedDataset(OwnSource(dataset), index, count, seed)
