"""BatchStream: the part of every batch of a source that one replica computes, and where a training is in it.

Positions are counted in examples, from the beginning of a pass, so that what is drawn for an example is the same
however many replicas there are. Where a training goes on within an epoch, the batches before are read again, as far
as the source has to, and passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple

from distrib.base.arrays import Columns
from distrib.base.errors import ConfigError, DataError
from distrib.base.logs import LOGGER
from distrib.base.ranges import Range
from distrib.data.dataset import Batch
from distrib.data.pipeline.ahead import Ahead, Waiting
from distrib.data.schedule import Positions
from distrib.data.streams.source import BatchSource, GlobalBatch

_ENDLESS = 1 << 53

Convert = Callable[[Any, int], tuple[Columns, Columns, Columns | None]]
"""Makes inputs, targets and weights of the examples of a batch; the number of the batch is for error messages."""


class StreamSchedule:
    """Which batches make up an epoch.

    Args:
        steps_per_epoch: how many; None for those of a pass.
        seed: of what the source draws.
        num_batches: of a pass, as the source says; None if it is not known.

    Attributes:
        steps_per_epoch: as given, or as many as the source says, or as the first epoch had; None while not known.
        seed: as given.
        is_given: whether the number of steps was given.
    """

    def __init__(self, steps_per_epoch: int | None, seed: int, num_batches: int | None = None) -> None:
        self.steps_per_epoch = num_batches if steps_per_epoch is None else steps_per_epoch
        self.seed = seed
        self.is_given = steps_per_epoch is not None

    def describe(self) -> dict[str, object]:
        """The arguments that determine the batches, as JSON values."""
        return {"steps_per_epoch": self.steps_per_epoch if self.is_given else None, "seed": self.seed}

    def identity(self) -> dict[str, object]:
        """What must be the same where a training goes on within an epoch, as JSON values."""
        return {"stream": True, "seed": self.seed}


class _Item(NamedTuple):
    """A batch: its first example in the pass, how many it has, and this replica's part."""

    begin: int
    size: int
    batch: Batch


class BatchStream:
    """The batches of a source.

    Args:
        source: the source.
        convert: makes what the model takes of a batch.

    Attributes:
        waited_s: seconds for which steps have waited for data.
    """

    def __init__(self, source: BatchSource, convert: Convert) -> None:
        self._source, self._convert = source, convert
        self._reading: Waiting[_Item] | None = None
        self._thread: Ahead[_Item] | None = None
        self._items: Generator[_Item] | None = None
        self._pass_index, self._position = -1, 0  # of the next batch
        self._wanted: Positions | None = None
        self.waited_s = 0.0

    def epoch(
        self, schedule: StreamSchedule, epoch: int, undone: Sequence[Positions] | None, index: int, count: int
    ) -> StreamEpoch:
        """The batches of an epoch, of which this replica computes its parts.

        Args:
            schedule: which they are.
            epoch: not looked at: epochs follow each other.
            undone: what is left of it; None for all.
            index: which replica.
            count: number of replicas.
        """
        return StreamEpoch(self, schedule, undone, index, count)

    def seek(self, schedule: StreamSchedule, place: Positions, index: int, count: int) -> None:
        """Go to a place in a pass, unless it is here."""
        self._wanted = None
        if self._reading is None or (self._pass_index, self._position) != (
            place.pass_index,
            place.range.begin,
        ):
            if place.range.begin:
                LOGGER.info("The data before example %d is read again.", place.range.begin)
            self._begin(schedule, place.pass_index, place.range.begin, index, count)

    def next(self, schedule: StreamSchedule, index: int, count: int) -> Batch | None:
        """This replica's part of the next batch of the pass; None at its end."""
        if self._wanted is not None:
            self.seek(schedule, self._wanted, index, count)
        if self._reading is None:
            if self._pass_index >= 0 and not self._source.begins_again:
                return None
            self._begin(schedule, self._pass_index + 1, 0, index, count)
        reading = self._reading
        assert reading is not None
        item = next(reading, None)
        self.waited_s += reading.seconds
        reading.seconds = 0.0
        if item is None:
            self._end()
            return None
        self._position = item.begin + item.size
        return item.batch

    @property
    def place(self) -> Positions:
        """Where the next batch begins."""
        if self._wanted is not None:
            return self._wanted
        if self._reading is None and self._source.begins_again:
            return Positions(self._pass_index + 1, Range(0, _ENDLESS))
        return Positions(max(0, self._pass_index), Range(self._position, _ENDLESS))

    @property
    def begins_again(self) -> bool:
        """Whether every pass has all batches."""
        return self._source.begins_again

    def end_epoch(self) -> None:
        """An epoch is over."""
        self._source.end_epoch()

    def counted(self, schedule: Any) -> Any:
        """The schedule: the number of examples need not be known."""
        return schedule

    def restart(self) -> None:
        """What is read next begins at the first batch, where the data can be read again."""
        if self._source.begins_again:
            self._end()
            self._pass_index, self._position = -1, 0

    def go_on(self, place: Positions) -> None:
        """What is read next begins there."""
        self._end()
        self._wanted = place

    def close(self) -> None:
        """Read no more."""
        self._end()
        self._source.close()

    def _begin(self, schedule: StreamSchedule, pass_index: int, begin: int, index: int, count: int) -> None:
        self._end()
        self._pass_index, self._position = pass_index, begin
        self._items = self._read(schedule, pass_index, begin, index, count)
        if self._source.prefetched:
            self._thread = Ahead(self._items, self._source.prefetched)
            self._reading = Waiting(self._thread)
        else:
            self._reading = Waiting(self._items)

    def _end(self) -> None:
        if self._thread is not None:
            self._thread.close()  # which closes the generator
        elif self._items is not None:
            self._items.close()
        self._reading = self._thread = self._items = None

    def _read(
        self, schedule: StreamSchedule, pass_index: int, begin: int, index: int, count: int
    ) -> Generator[_Item]:
        batches = self._source.batches(pass_index, schedule.seed)
        try:
            yield from self._from(begin, batches, pass_index, index, count)
        finally:  # after an error, too, which would keep the source and its threads for as long as it is looked at
            batches.close()

    def _from(
        self, begin: int, batches: Generator[GlobalBatch], pass_index: int, index: int, count: int
    ) -> Generator[_Item]:
        """This replica's parts of the batches, from an example of the pass on."""
        position = 0
        for number, batch in enumerate(batches):
            if not batch.size:
                continue
            if position >= begin:
                yield _Item(
                    position, batch.size, self._part(batch, number, pass_index, position, index, count)
                )
            elif position + batch.size > begin:
                raise DataError(
                    f"The data is not what it was: the training goes on at example {begin} of pass {pass_index}, "
                    f"which lies within batch {number}."
                )
            position += batch.size
        if position < begin:
            raise DataError(f"The data has {position} examples. The training goes on at example {begin}.")

    def _part(
        self, batch: GlobalBatch, number: int, pass_index: int, position: int, index: int, count: int
    ) -> Batch:
        whole = Range(0, batch.size)
        own = whole if batch.is_own else whole.part(index, count)
        # Where replicas have batches of their own, each has positions of its own.
        place = count * position + index * batch.size if batch.is_own else position + own.begin
        x, y, weight = self._convert(batch.part(own.slice), number)
        return Batch(x, y, weight, pass_index, place, batch.checksum)


class StreamEpoch:
    """The batches of one epoch.

    Args:
        stream: where they are read.
        schedule: which they are.
        undone: what is left of the epoch; None for all.
        index: which replica computes its parts.
        count: number of replicas.
    """

    def __init__(
        self,
        stream: BatchStream,
        schedule: StreamSchedule,
        undone: Sequence[Positions] | None,
        index: int,
        count: int,
    ) -> None:
        self._stream, self._schedule, self._undone = stream, schedule, undone
        self._index, self._count = index, count

    def from_step(self, step: int) -> Iterator[Batch]:
        """The batches from a step of the epoch on."""
        stream, schedule, steps = self._stream, self._schedule, self._schedule.steps_per_epoch
        if self._undone:
            stream.seek(schedule, self._undone[0], self._index, self._count)
        while not schedule.is_given or (steps is not None and step < steps):
            batch = stream.next(schedule, self._index, self._count)
            if batch is None and not step and schedule.is_given and stream.begins_again:
                # The pass ended with the epoch before.
                batch = stream.next(schedule, self._index, self._count)
            if batch is None:
                break
            yield batch
            step += 1
        if not step:
            raise DataError(
                "The data has no batches."
                if stream.begins_again
                else "The generator has no more batches for this epoch. Pass steps_per_epoch, with enough batches "
                "for all epochs, or data that can be read again: distrib.data.Dataset.from_generator."
            )
        if schedule.is_given and steps is not None and step < steps:
            LOGGER.warning(
                "The data ended after %d of %d steps of the epoch, which ends here. Use repeat(), or a generator "
                "with steps_per_epoch * epochs batches.",
                step,
                steps,
            )
        elif not schedule.is_given:
            schedule.steps_per_epoch = step
        stream.end_epoch()

    def undone(self) -> list[Positions]:
        """What is left of the epoch."""
        return [self._stream.place]


def check_length(source: BatchSource, steps: int | None, name: str) -> None:
    """Raise `ConfigError` for data without an end where the number of steps is not given."""
    if source.is_endless and steps is None:
        raise ConfigError(f"The data repeats without end. Pass {name}.")
