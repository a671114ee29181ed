"""What users pass to `fit`, as a `BatchSource`: data sets, iterables, generators, `PyDataset`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from distrib.base.errors import DataError, DistribError
from distrib.data.pipeline.batch_blocks import batch_of
from distrib.data.pipeline.dataset import Dataset
from distrib.data.pipeline.iteration import Iteration
from distrib.data.pipeline.sources import INFINITE
from distrib.data.streams.source import BatchSource, GlobalBatch, LazyBatch, ReadBatch


class DatasetSource(BatchSource):
    """A `Dataset` of batches. Elements are computed where they are used, if the pipeline ends in `batch`.

    Attributes:
        dataset: the data set.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset, self.prefetched = dataset, dataset.prefetched

    @property
    def num_batches(self) -> int | None:
        count = self.dataset.cardinality()
        return None if count < 0 else count

    @property
    def is_endless(self) -> bool:
        return self.dataset.cardinality() == INFINITE

    def batches(self, pass_index: int, seed: int) -> Generator[GlobalBatch]:
        iteration = Iteration(seed, (pass_index,))
        number = 0
        try:
            for block in self.dataset.stage.blocks(iteration):
                for index in range(len(block)):
                    lazy = batch_of(block, index)
                    yield ReadBatch(block.element(index), number) if lazy is None else LazyBatch(lazy)
                    number += 1
        finally:
            iteration.close()


class IterableSource(BatchSource):
    """Batches that an object yields whenever it is iterated over: a list, a loader. Every replica reads all."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self._batches, self._first = batches, None
        self._opened: Iterator[Any] | None = None

    @property
    def num_batches(self) -> int | None:
        try:
            return len(self._batches)  # type: ignore[arg-type]
        except TypeError:
            return None

    def _open(self) -> Iterator[Any]:
        return iter(self._batches)

    def batches(self, pass_index: int, seed: int) -> Generator[GlobalBatch]:
        source = self._open() if self._opened is None else self._opened
        self._opened = None
        number = 0
        while True:
            if self._first is not None:
                value, self._first = self._first, None
            else:
                value = _next(source, number)
            if value is None:
                return
            yield ReadBatch(as_batch(value), number)
            number += 1

    def sample(self) -> Any:
        if self._first is None:
            self._opened = self._open()
            self._first = _next(self._opened, 0)
        return None if self._first is None else ReadBatch(as_batch(self._first), 0).part(slice(0, 1))


class IteratorSource(IterableSource):
    """Batches of a generator, or of another iterator, which can be read once. Every replica reads all."""

    begins_again = False

    @property
    def num_batches(self) -> int | None:
        return None


class IndexedSource(BatchSource):
    """Batches by their number, as `keras.utils.PyDataset` has them. Every replica reads all.

    Args:
        batches: has `__getitem__`, and a length or `num_batches`; perhaps `on_epoch_begin` and `on_epoch_end`.
    """

    def __init__(self, batches: Any) -> None:
        self._batches = batches
        if getattr(batches, "workers", 1) > 1:
            self.prefetched = int(getattr(batches, "max_queue_size", 10))

    @property
    def num_batches(self) -> int | None:
        count = getattr(self._batches, "num_batches", None)
        return len(self._batches) if count is None and hasattr(self._batches, "__len__") else count

    @property
    def is_endless(self) -> bool:
        return self.num_batches is None

    def batches(self, pass_index: int, seed: int) -> Generator[GlobalBatch]:
        if hasattr(self._batches, "on_epoch_begin"):
            self._batches.on_epoch_begin()
        count, number = self.num_batches, 0
        while count is None or number < count:
            yield self._batch(number)
            number += 1

    def sample(self) -> Any:
        if self.num_batches == 0:
            return None
        return self._batch(0).part(slice(0, 1))

    def _batch(self, number: int) -> ReadBatch:
        return ReadBatch(as_batch(_called(lambda: self._batches[number], number)), number)

    def end_epoch(self) -> None:
        if hasattr(self._batches, "on_epoch_end"):
            self._batches.on_epoch_end()


def _next(source: Iterator[Any], number: int) -> Any:
    return _called(lambda: next(source, None), number)


def _called(read: Callable[[], Any], number: int) -> Any:
    """A batch. Raises `DataError` for what the user's code has raised."""
    try:
        return read()
    except DistribError:
        raise
    except Exception as error:
        raise DataError(f"The data failed at batch {number}: {type(error).__name__}: {error}") from error


def as_batch(value: Any) -> Any:
    """A batch in which lists are tuples, and tensors of other libraries arrays; None at its end is left out.

    Raises:
        DataError: None before something else, as weights without targets.
    """
    if isinstance(value, list | tuple):
        parts = list(value)
        while parts and parts[-1] is None:
            parts.pop()
        if any(each is None for each in parts):
            raise DataError(
                "A batch is x, (x, y) or (x, y, sample_weight). Received: None before other parts."
            )
        return tuple(map(as_batch, parts))
    if isinstance(value, dict):
        return {key: as_batch(each) for key, each in value.items()}
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "numpy") and not hasattr(value, "__array_interface__"):
        return value.numpy()
    return value
