"""LeasedStream: batches of a source by their positions, for parameter servers, which lease examples to workers.

A worker computes what it is leased, mostly in the order of the data, so it reads on from where it is. Where it is
given a lease of another worker that lies behind, it reads the pass again from its beginning.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import numpy as np

from distrib.base.arrays import Columns
from distrib.base.errors import ConfigError, DataError
from distrib.base.logs import LOGGER
from distrib.base.ranges import Range
from distrib.data.dataset import Batch
from distrib.data.pipeline.structure import mapped
from distrib.data.schedule import Positions, Schedule
from distrib.data.streams.source import BatchSource, GlobalBatch
from distrib.data.streams.stream import Convert

_KEPT = 2
"""Batches that are kept: a lease may lie within two."""


class _Place(NamedTuple):
    """A batch: its number in the pass, and the position of its first example."""

    number: int
    begin: int
    batch: GlobalBatch


class LeasedStream:
    """The batches of a source, of which leased positions are computed.

    Args:
        source: can be read again.
        convert: makes what the model takes of a batch.

    Raises:
        ConfigError: a generator, which cannot be read again.
    """

    def __init__(self, source: BatchSource, convert: Convert) -> None:
        if source.is_own:
            raise ConfigError(
                "Parameter servers lease the examples of one data set to all workers. Received: data that each "
                "worker makes for itself. Pass the Dataset."
            )
        if not source.begins_again:
            raise ConfigError(
                "Parameter servers give the examples of a lost worker to another one, so data has to be read again. "
                "Received: a generator. Pass distrib.data.Dataset.from_generator(lambda: ...)."
            )
        self._source, self._convert = source, convert
        self._seed, self._pass_index = 0, -1
        self._reading: Generator[_Place] | None = None
        self._kept: list[_Place] = []

    def counted(self, schedule: Any) -> Any:
        """The schedule with the number of examples, for which the data is passed over once.

        Raises:
            ConfigError: batches of different sizes.
            DataError: no batches.
        """
        self._seed = schedule.seed
        steps = schedule.steps_per_epoch if schedule.is_given else None
        if self._source.num_batches is None and not self._source.is_endless:
            LOGGER.info("The data is read once to count its examples.")
        sizes: list[int] = []
        batches = self._source.batches(0, self._seed)
        try:
            for batch in batches:
                sizes.append(batch.size)
                if self._source.is_endless:
                    break
        finally:
            batches.close()
        if not sizes:
            raise DataError("The data has no batches.")
        if len(set(sizes[:-1])) > 1 or sizes[-1] > sizes[0]:
            raise ConfigError(
                "Parameter servers lease batches of one size; the last one may be smaller. Received: sizes "
                f"{sorted(set(sizes))[:5]}."
            )
        count = sizes[0] * (1 << 30) if self._source.is_endless else sum(sizes)
        return Schedule(count, sizes[0], steps, shuffle=False, seed=schedule.seed)

    def leased(self, schedule: Schedule, span: Positions) -> Batch:
        """The examples of a span of positions."""
        part, at = span.range, span.range.begin
        found: list[tuple[Columns, Columns, Columns | None]] = []
        while at < part.end or not found:
            number, begin, batch = self._batch_with(span.pass_index, at)
            end = min(part.end, begin + batch.size)
            x, y, weight = self._convert(batch.part(Range(at - begin, end - begin).slice), number)
            found.append((x, y, weight))
            at = end
        if len(found) == 1:
            x, y, weight = found[0]
        else:
            x, y = _joined([each[0] for each in found]), _joined([each[1] for each in found])
            weight = None if found[0][2] is None else _joined([each[2] for each in found])
        return Batch(x, y, weight, span.pass_index, part.begin)

    def restart(self) -> None:
        """What is read next begins at the first batch. Positions say so."""

    def close(self) -> None:
        """Read no more."""
        self._end()
        self._source.close()

    def _batch_with(self, pass_index: int, position: int) -> _Place:
        """The batch with a position."""
        is_behind = bool(self._kept) and position < self._kept[0].begin
        if pass_index != self._pass_index or self._reading is None or is_behind:
            self._end()
            self._pass_index, self._reading = pass_index, self._numbered(pass_index)
        while True:
            for place in self._kept:
                if place.begin <= position < place.begin + place.batch.size:
                    return place
            item = next(self._reading, None)
            if item is None:
                raise DataError(f"The data ended before example {position}. It had more when it was counted.")
            self._kept = [*self._kept[-_KEPT + 1 :], item]

    def _numbered(self, pass_index: int) -> Generator[_Place]:
        position = 0
        for number, batch in enumerate(self._source.batches(pass_index, self._seed)):
            yield _Place(number, position, batch)
            position += batch.size

    def _end(self) -> None:
        if self._reading is not None:
            self._reading.close()
        self._reading, self._kept = None, []


def _joined(parts: list[Any]) -> Columns:
    found: Columns = mapped(lambda *arrays: np.concatenate(arrays), *parts)
    return found
