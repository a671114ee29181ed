"""BatchSource: data that comes in batches, in one pass after the other."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Any

from distrib.base.errors import DataError
from distrib.data.pipeline.blocks import Block
from distrib.data.pipeline.structure import as_component, leaves, mapped


class GlobalBatch(ABC):
    """A batch of all replicas together.

    Attributes:
        size: number of examples.
        checksum: of what every replica has read, the same on all; 0 where it was not read.
        is_own: whether it is this replica's part already, and other replicas have others.
    """

    size: int
    checksum: int = 0
    is_own = False

    @abstractmethod
    def part(self, rows: slice) -> Any:
        """Some of its examples: a structure of arrays. There may be none of them."""


class LazyBatch(GlobalBatch):
    """Elements of a pipeline, of which the own ones alone are computed.

    Args:
        elements: of the batch.
    """

    def __init__(self, elements: Block) -> None:
        self._elements, self.size = elements, len(elements)

    def part(self, rows: slice) -> Any:
        if rows.start >= rows.stop:  # shapes are known from one
            return mapped(lambda array: array[:0], self._elements.rows(slice(0, 1)).stacked())
        return self._elements.rows(rows).stacked()


class ReadBatch(GlobalBatch):
    """A batch that every replica has read.

    Args:
        value: a structure of arrays, `(examples, ...)`.
        number: of the batch, for the error message.

    Raises:
        DataError: they have no rows, or not as many in each.
    """

    def __init__(self, value: Any, number: int) -> None:
        self._value = mapped(as_component, value)
        lengths = {len(each) if each.ndim else -1 for each in leaves(self._value)}
        if len(lengths) != 1 or -1 in lengths:
            found = [each.shape for each in leaves(self._value)]
            raise DataError(
                f"Batch {number}: expected arrays with as many rows in each. Received: shapes {found}. A Dataset of "
                "single examples needs .batch(...)."
            )
        self.size = lengths.pop()
        for each in leaves(self._value):
            if self.size:
                self.checksum = zlib.crc32(each[0].tobytes(), self.checksum)
                self.checksum = zlib.crc32(each[-1].tobytes(), self.checksum)

    def part(self, rows: slice) -> Any:
        return mapped(lambda array: array[rows], self._value)


class BatchSource(ABC):
    """Batches, the same and in the same order on every replica.

    Attributes:
        begins_again: whether every pass has all batches; otherwise there is one pass, which goes on.
        prefetched: how many batches a thread reads ahead; 0 for none.
        is_own: whether each replica has batches of its own.
    """

    begins_again = True
    prefetched = 0
    is_own = False

    @property
    @abstractmethod
    def num_batches(self) -> int | None:
        """How many batches a pass has; None if that is not known."""

    @property
    def is_endless(self) -> bool:
        """Whether a pass has no end."""
        return False

    @abstractmethod
    def batches(self, pass_index: int, seed: int) -> Generator[GlobalBatch]:
        """The batches of a pass.

        Args:
            pass_index: from 0.
            seed: of what is drawn without a seed of its own; the same on all replicas.
        """

    def sample(self) -> Any:
        """One example of the first batch, a structure of arrays with one row; None for empty data."""
        batches = self.batches(0, 0)
        try:
            first = next(batches, None)
            return None if first is None else first.part(slice(0, 1))
        finally:
            batches.close()

    def describe(self) -> dict[str, Any]:
        """What replicas compare before they begin, as JSON values."""
        return {"source": type(self).__name__, "batches": self.num_batches}

    def end_epoch(self) -> None:  # noqa: B027
        """An epoch is over."""

    def close(self) -> None:  # noqa: B027
        """Nothing more is read."""
