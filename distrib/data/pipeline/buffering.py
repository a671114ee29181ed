"""Stages that keep elements: cache in memory or in a file, and prefetch."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distrib.base.errors import StorageError
from distrib.data.pipeline.blocks import Block, Memo, Values
from distrib.data.pipeline.computing import values_of
from distrib.data.pipeline.iteration import Iteration
from distrib.data.pipeline.ordering import After
from distrib.data.pipeline.sources import Elements, Stage
from distrib.data.pipeline.structure import leaves


class CacheStage(After):
    """Elements that are read in the first whole pass, in that order, and computed once.

    On several replicas each keeps those that it has computed.
    """

    def __init__(self, source: Stage) -> None:
        super().__init__(source)
        self._kept: list[Block] | None = None

    def blocks(self, iteration: Iteration) -> Elements:
        if self._kept is not None:
            yield from self._kept
            return
        values: dict[int, Any] = {}
        blocks, number = [], 0
        for block in self._source.blocks(iteration):
            blocks.append(Memo(block, np.arange(number, number + len(block)), values))
            number += len(block)
            yield blocks[-1]
        self._kept = list(blocks)


class FileCacheStage(After):
    """Elements in a file, which is written in the first whole pass; if there is one, it is read.

    Args:
        source: the stage before.
        path: of the file; the ending `.npz` is added.
    """

    def __init__(self, source: Stage, path: str | Path) -> None:
        super().__init__(source)
        self._path = Path(f"{path}.npz")

    def blocks(self, iteration: Iteration) -> Elements:
        if self._path.exists():
            yield from self._read()
            return
        kept: list[Any] = []
        for values in values_of(self._source.blocks(iteration)):
            kept += values
            yield Values(values)
        self._write(kept)

    def _write(self, elements: list[Any]) -> None:
        arrays = {
            f"{n}/{at}": each for n, element in enumerate(elements) for at, each in enumerate(leaves(element))
        }
        structure = json.dumps(_outline(elements[0]) if elements else None)
        try:
            with tempfile.NamedTemporaryFile(dir=self._path.parent, delete=False) as file:
                temporary = Path(file.name)  # of this replica alone
                try:
                    np.savez(file, structure=np.frombuffer(structure.encode(), np.uint8), **arrays)
                except BaseException:
                    temporary.unlink()
                    raise
            temporary.replace(self._path)
        except OSError as error:
            raise StorageError(f"The cache {self._path} cannot be written: {error}") from None

    def _read(self) -> Elements:
        try:
            with np.load(self._path, allow_pickle=False) as file:
                outline, number = json.loads(bytes(file["structure"]).decode()), 0
                width = 0 if outline is None else _width(outline)
                while f"{number}/0" in file.files and outline is not None:
                    places = iter([file[f"{number}/{at}"] for at in range(width)])
                    yield Values([_filled(outline, places)])
                    number += 1
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(f"The cache {self._path} cannot be read: {error}. Remove it.") from None


class PrefetchStage(After):
    """Elements that are computed ahead by a thread. What reads the pipeline does so; see `Dataset.prefetched`.

    Args:
        source: the stage before.
        buffer_size: how many are computed ahead.
    """

    def __init__(self, source: Stage, buffer_size: int) -> None:
        super().__init__(source)
        self.buffer_size = buffer_size

    def blocks(self, iteration: Iteration) -> Elements:
        return self._source.blocks(iteration)


def _outline(element: Any) -> Any:
    """A structure as JSON values."""
    if isinstance(element, Mapping):
        return {"dict": {key: _outline(each) for key, each in element.items()}}
    return {"tuple": [_outline(each) for each in element]} if isinstance(element, tuple) else 0


def _width(outline: Any) -> int:
    if outline == 0:
        return 1
    parts = outline["dict"].values() if "dict" in outline else outline["tuple"]
    return sum(map(_width, parts))


def _filled(outline: Any, places: Any) -> Any:
    if outline == 0:
        return next(places)
    if "dict" in outline:
        return {key: _filled(each, places) for key, each in outline["dict"].items()}
    return tuple(_filled(each, places) for each in outline["tuple"])
