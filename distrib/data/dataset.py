"""ArrayDataset: arrays, and the part of every batch that one replica computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from distrib.base.arrays import Array, Columns, columns
from distrib.base.errors import DataError
from distrib.data.schedule import Positions, Schedule, joined


class Batch(NamedTuple):
    """One replica's part of a batch.

    The arrays are valid until the next batch.

    Attributes:
        x: `(rows, ...)`, in the model's dtype, or a tuple of several inputs; rows may be 0.
        y: `(rows, ...)` targets, or a tuple of those of several outputs.
        weight: `(rows,)` sample weights, or a tuple of those of several outputs, or None.
        pass_index: pass over the data.
        position: position in that pass of the first row.
        checksum: of what every replica has read of the whole batch; 0 for nothing.
    """

    x: Columns
    y: Columns
    weight: Columns | None
    pass_index: int
    position: int
    checksum: int = 0


class ArrayDataset:
    """Examples in memory.

    Args:
        x: `(num_examples, ...)`, or a tuple of several inputs.
        y: `(num_examples, ...)` targets, in the form the loss takes, or a tuple of those of several outputs.
        weight: `(num_examples,)` sample weights, or a tuple of those of several outputs, or None.
        dtype: dtype of the model, to which batches of `x` and `weight` are converted.
    """

    def __init__(self, x: Columns, y: Columns, weight: Columns | None, dtype: np.dtype[Any]) -> None:
        self._num_examples = len(columns(x)[0])
        self._x = _rows_of(x, dtype)
        self._y = _rows_of(y, None)
        self._weight = None if weight is None else _rows_of(weight, dtype)

    def __len__(self) -> int:
        return self._num_examples

    def batches(
        self, schedule: Schedule, wholes: Iterable[Positions], index: int, count: int
    ) -> Iterator[Batch]:
        """Part `index` of `count` of every batch.

        Args:
            schedule: the order of the examples.
            wholes: the batches.
            index: which replica.
            count: number of replicas.
        """
        for pass_index, whole in wholes:
            own = whole.part(index, count)
            order = schedule.order(pass_index)
            yield self.batch(own.slice if order is None else order[own.slice], pass_index, own.begin)

    def epoch(
        self, schedule: Schedule, epoch: int, undone: Sequence[Positions] | None, index: int, count: int
    ) -> ArrayEpoch:
        """The batches of an epoch, of which a replica computes its parts.

        Args:
            schedule: which they are.
            epoch: from 0.
            undone: what is left of it; None for all.
            index: which replica.
            count: number of replicas.
        """
        wholes = list(schedule.epoch(epoch) if undone is None else schedule.cut(undone))
        return ArrayEpoch(wholes, self.batches(schedule, wholes, index, count))

    def leased(self, schedule: Schedule, span: Positions) -> Batch:
        """The examples of a span of positions."""
        order, part = schedule.order(span.pass_index), span.range
        return self.batch(part.slice if order is None else order[part.slice], span.pass_index, part.begin)

    def counted(self, schedule: Any) -> Any:
        """The schedule, in which the number of examples is known."""
        return schedule

    def restart(self) -> None:
        """What is read next begins at the first batch, as it does with arrays always."""

    def close(self) -> None:
        """Nothing more is read."""

    def batch(self, rows: slice | Array, pass_index: int, position: int) -> Batch:
        """The examples `rows`, as the batch at `position` of a pass."""
        weight = None if self._weight is None else self._weight(rows)
        return Batch(self._x(rows), self._y(rows), weight, pass_index, position)


class ArrayEpoch:
    """The batches of one epoch.

    Args:
        wholes: where they are.
        parts: those of a replica.
    """

    def __init__(self, wholes: list[Positions], parts: Iterator[Batch]) -> None:
        self._wholes, self._parts = wholes, parts
        self._num_begun = 0

    def from_step(self, step: int) -> Iterator[Batch]:
        """The batches. `step` is the number of the first one in the epoch."""
        for batch in self._parts:
            self._num_begun += 1
            yield batch

    def undone(self) -> list[Positions]:
        """The positions whose batches have not begun, in their order."""
        return joined(self._wholes[self._num_begun :])


def _rows_of(arrays: Columns, dtype: np.dtype[Any] | None) -> Callable[[slice | Array], Columns]:
    """What returns the rows of these arrays, in this dtype or else their own."""
    made = [_Column(each, each.dtype if dtype is None else dtype) for each in columns(arrays)]
    if not isinstance(arrays, tuple):
        return made[0].rows
    return lambda rows: tuple(each.rows(rows) for each in made)


class _Column:
    """One array of a data set, whose rows are gathered into memory that is used again for every batch."""

    def __init__(self, source: Array, dtype: np.dtype[Any]) -> None:
        self.source = np.ascontiguousarray(source)
        self._gathered = np.empty((0, *source.shape[1:]), source.dtype)
        self._converted = np.empty((0, *source.shape[1:]), dtype)

    def rows(self, rows: slice | Array) -> Array:
        """The rows, in the column's dtype; a view where nothing has to be gathered or converted."""
        if isinstance(rows, slice):
            gathered = self.source[rows]
        else:
            if len(self._gathered) < len(rows):
                self._gathered = np.empty((len(rows), *self.source.shape[1:]), self.source.dtype)
            # mode="clip": with the default, take() would go through a buffer of its own
            gathered = self._gathered[: len(rows)]
            np.take(self.source, rows, axis=0, out=gathered, mode="clip")
        if gathered.dtype == self._converted.dtype:
            return gathered
        if len(self._converted) < len(gathered):
            self._converted = np.empty(gathered.shape, self._converted.dtype)
        converted = self._converted[: len(gathered)]
        np.copyto(converted, gathered, casting="unsafe")
        return converted


def as_array(value: Any, what: str) -> Array:
    """A numeric array of at least one axis.

    Args:
        value: array, nested list, or anything NumPy understands.
        what: what it is, for the error message.

    Raises:
        DataError: it is not numeric, ragged, or a single number.
    """
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise DataError(f"{what} cannot be made an array: {error}") from None
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{what} holds numbers. Received: dtype {array.dtype} of type {type(value).__name__}."
        )
    if array.ndim == 0:
        raise DataError(f"{what} has one row an example. Received: a single number.")
    return array
