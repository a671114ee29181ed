"""Ahead: a thread that reads an iterator ahead of who uses it, so that computing waits less for data."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

from distrib.base import background

T = TypeVar("T")
_LOOK_S = 0.1


class Ahead(Generic[T]):
    """An iterator over what another one yields, which a thread reads ahead.

    Its errors are raised where the value is asked for. `close` ends the thread; so does the end.

    Args:
        source: the other one; closed by the thread if it can be.
        size: how many values are read ahead.
    """

    def __init__(self, source: Iterator[T], size: int) -> None:
        self._source = source
        self._ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(max(1, size))
        self._closed = threading.Event()
        self._thread = background.start(self._read, "data ahead")

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._closed.is_set():
            raise StopIteration
        while True:
            try:
                value, error = self._ready.get(timeout=1.0)
                break
            except queue.Empty:
                if not self._thread.is_alive() and self._ready.empty():
                    raise RuntimeError("The thread that reads data ahead has ended.") from None
        if error is not None:
            self.close()
            if isinstance(error, StopIteration):
                raise StopIteration
            raise error
        assert value is not None
        return value

    def close(self) -> None:
        """Read no more. The thread ends after the value that it is reading."""
        self._closed.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=10.0)

    def _read(self) -> None:
        try:
            for value in self._source:
                self._put((value, None))
                if self._closed.is_set():
                    return
            self._put((None, StopIteration()))
        except BaseException as error:
            self._put((None, error))
        finally:
            if hasattr(self._source, "close"):
                self._source.close()

    def _put(self, item: tuple[T | None, BaseException | None]) -> None:
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=_LOOK_S)
                return
            except queue.Full:
                continue


def read_ahead(source: Generator[T], size: int) -> Generator[T]:
    """The values of a generator, of which a thread reads some ahead; it is closed at the end.

    Args:
        source: the generator.
        size: how many values are read ahead; 0 for none, without a thread.
    """
    reader = Ahead(source, size) if size else source
    try:
        yield from reader
    finally:
        reader.close()


class Waiting(Generic[T]):
    """An iterator over what another one yields, which adds up how long it was waited for.

    Attributes:
        seconds: so far.
    """

    def __init__(self, source: Iterator[T]) -> None:
        self._source = source
        self.seconds = 0.0

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        begin = time.perf_counter()
        try:
            return next(self._source)
        finally:
            self.seconds += time.perf_counter() - begin
