"""LeasedStream: batches of a source by their positions, for parameter servers, which lease examples to workers.

A worker computes what it is leased, mostly in the order of the data, so it reads on from where it is. Where it is
given a lease of another worker that lies behind, it reads the pass again from its beginning.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

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
        self._reading: Generator[tuple[int, GlobalBatch]] | None = None
        self._kept: list[tuple[int, GlobalBatch]] = []  # with the position of the first example of each

    def counted(self, schedule: Any) -> Any:
        """The schedule with the number of examples, for which the data is passed over once.

        Raises:
            ConfigError: batches of different sizes.
            DataError: no batches.
        """
        self._seed, steps = schedule.seed, schedule.steps_per_epoch
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
            batches.close()  # type: ignore[attr-defined]
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
            begin, batch = self._batch_with(span.pass_index, at)
            end = min(part.end, begin + batch.size)
            x, y, weight = self._convert(batch.part(Range(at - begin, end - begin).slice), 0)
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

    def _batch_with(self, pass_index: int, position: int) -> tuple[int, GlobalBatch]:
        """The batch with a position, and the position of its first example."""
        is_behind = bool(self._kept) and position < self._kept[0][0]
        if pass_index != self._pass_index or self._reading is None or is_behind:
            self._end()
            self._pass_index, self._reading = pass_index, self._numbered(pass_index)
        while True:
            for begin, batch in self._kept:
                if begin <= position < begin + batch.size:
                    return begin, batch
            item = next(self._reading, None)
            if item is None:
                raise DataError(f"The data ended before example {position}. It had more when it was counted.")
            self._kept = [*self._kept[-_KEPT + 1 :], item]

    def _numbered(self, pass_index: int) -> Generator[tuple[int, GlobalBatch]]:
        position = 0
        for batch in self._source.batches(pass_index, self._seed):
            yield position, batch
            position += batch.size

    def _end(self) -> None:
        if self._reading is not None:
            self._reading.close()
        self._reading, self._kept = None, []


def _joined(parts: list[Any]) -> Columns:
    found: Columns = mapped(lambda *arrays: np.concatenate(arrays), *parts)
    return found
