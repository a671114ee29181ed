"""BatchedData: data that comes in batches, as `fit`, `evaluate` and `predict` take it besides arrays."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from distrib.base.errors import ConfigError, DataError
from distrib.data.pipeline.dataset import Dataset
from distrib.data.pipeline.structure import leaves
from distrib.data.streams.distributed import DatasetCreator, DistributedDataset
from distrib.data.streams.fetched import HuggingFaceSource, LoaderSource, inputs_and_labels
from distrib.data.streams.source import BatchSource
from distrib.data.streams.sources import DatasetSource, IndexedSource, IterableSource, IteratorSource
from distrib.data.streams.stream import StreamSchedule, check_length

DEFAULT_BATCH_SIZE = 32
"""That of Keras."""

_INDEXED = ("PyDataset", "Sequence")
"""Names of classes of Keras whose batches are taken by their numbers."""


class BatchedData:
    """Batches of inputs, of inputs and targets, or of these and weights.

    Args:
        source: the batches.
        sample: one example of the first, a structure of arrays with one row.
        steps: how many batches are used; None for all.

    Attributes:
        source: as given.
        x: inputs of the sample.
        y: its targets; None for none.
        weight: its weights; None for none.
        class_weight: label -> weight of its examples; None for none.
    """

    def __init__(self, source: BatchSource, sample: Any, steps: int | None = None) -> None:
        self.source, self._steps = source, steps
        if sample is None:
            raise DataError("Expected at least one batch. Received: empty data.")
        self.x, self.y, self.weight = split_batch(sample)
        self._checksum = 0
        for each in leaves(sample):
            self._checksum = zlib.crc32(np.ascontiguousarray(each).tobytes(), self._checksum)
        self.class_weight: Mapping[int, float] | None = None

    def weighted_by_class(self, class_weight: Mapping[int, float]) -> BatchedData:
        """The same batches, each example with the weight of its class."""
        if self.weight is not None:
            raise ConfigError("Pass class_weight or sample_weight, not both.")
        self.class_weight = class_weight
        return self

    def split(self, fraction: float) -> Any:
        """Raises `ConfigError`: the last examples are not known."""
        raise ConfigError(
            "validation_split is for arrays. Pass validation_data, as with dataset.take and skip."
        )

    def first(self, steps: int | None, batch_size: int, name: str) -> BatchedData:
        """The first batches; see `Examples.first`."""
        check_length(self.source, steps, name)
        self._steps = steps
        return self

    def schedule(self, batch_size: int, steps: int | None, shuffle: bool, seed: int) -> StreamSchedule:
        """Which batches make up an epoch.

        Args:
            batch_size: not looked at: batches are as they come.
            steps: of an epoch; None for one pass.
            shuffle: not looked at: the source orders its examples.
            seed: of what it draws.
        """
        steps = self._steps if steps is None else steps
        check_length(self.source, steps, "steps_per_epoch")
        return StreamSchedule(steps, seed, self.source.num_batches)

    def describe(self) -> dict[str, Any]:
        """What replicas compare before they begin, as JSON values."""
        first = {} if self.source.is_own else {"first": self._checksum}
        return {**self.source.describe(), **first}


def split_batch(batch: Any) -> tuple[Any, Any, Any]:
    """Inputs, targets and weights of a batch, None for those that it does not have.

    Of a dict, `label` or `labels` are the targets, as loaders of Hugging Face have them.

    Raises:
        DataError: a tuple of more than three.
    """
    if isinstance(batch, Mapping):
        x, y = inputs_and_labels(batch)
        return x, y, None
    if not isinstance(batch, tuple):
        return batch, None, None
    if not 1 <= len(batch) <= 3:
        raise DataError(f"A batch is x, (x, y) or (x, y, sample_weight). Received: a tuple of {len(batch)}.")
    x, y, weight = (*batch, None, None)[:3]
    return x, y, weight


def source_of(x: Any) -> BatchSource | None:
    """The batches of what was passed as `x`; None for arrays."""
    if isinstance(x, BatchSource):
        return x
    if isinstance(x, Dataset):
        return DatasetSource(x)
    if isinstance(x, DatasetCreator):
        return DatasetSource(x.make())
    if isinstance(x, DistributedDataset):
        return x.source
    if isinstance(x, np.ndarray | Mapping | str | bytes | list | tuple) or hasattr(x, "__array__"):
        return _of_batches(x) if isinstance(x, list | tuple) else None
    if _is_of(x, "torch", "DataLoader") and getattr(x, "batch_sampler", None) is not None:
        return IterableSource(x) if _is_of(x.dataset, "torch", "IterableDataset") else LoaderSource(x)
    if any(base.__name__ in _INDEXED for base in type(x).__mro__) and hasattr(x, "__getitem__"):
        return IndexedSource(x)
    if isinstance(x, Iterator):
        return IteratorSource(x)
    if isinstance(x, Iterable):
        return IterableSource(x)
    return None


def batched(
    call: str, x: Any, y: Any, sample_weight: Any, batch_size: int | None, shuffle: bool = False
) -> BatchedData | None:
    """The batches of what was passed as `x`; None for arrays.

    Args:
        call: of what, such as `"fit"`.
        x: inputs.
        y: targets.
        sample_weight: weights.
        batch_size: as passed.
        shuffle: whether a data set of examples, not of batches, is shuffled.

    Raises:
        ConfigError: targets, weights or a batch size beside batches, which have them.
    """
    if _is_of(x, "datasets", "Dataset") and y is None and sample_weight is None:
        hub = HuggingFaceSource(x, DEFAULT_BATCH_SIZE if batch_size is None else batch_size, shuffle)
        return BatchedData(hub, hub.sample())
    source = source_of(x)
    if source is None:
        return None
    beside = {"y": y, "sample_weight": sample_weight, "batch_size": batch_size}
    given = [name for name, value in beside.items() if value is not None]
    if given:
        raise ConfigError(
            f"{call} takes {', '.join(given)} beside arrays alone. Received: x of type {type(x).__name__}, whose "
            "batches are (x, y) or (x, y, sample_weight), of the size that the data says."
        )
    return BatchedData(source, source.sample())


def _is_of(x: Any, package: str, name: str) -> bool:
    """Whether something is of a class of another library, which need not be installed."""
    return any(
        base.__name__ == name and base.__module__.partition(".")[0] == package for base in type(x).__mro__
    )


def _of_batches(x: Any) -> BatchSource | None:
    """The batches of a list of tuples or dicts of arrays; None for arrays in a list."""
    if len(x) and all(
        isinstance(each, Mapping) or (isinstance(each, tuple) and all(np.ndim(part) for part in each))
        for each in x
    ):
        return IterableSource(x)
    return None
