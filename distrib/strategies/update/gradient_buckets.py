"""GradientBuckets: a gradient is reduced piece by piece, what is complete already while the rest is still computed.

Backward fills the flat gradient from its end to its beginning. So the vector is cut into buckets from its end, the
first one small, so that the links soon have something to do. A bucket that is complete is handed to a thread, which
reduce-scatters one after the other while this rank goes on computing; only the last one, at the beginning of the
vector, is waited for. The thread lives for one step. (Li et al., PyTorch Distributed, VLDB 2020, section 3.2.3.)

Each rank owns its part of every bucket: `owned`. Every rank has the same buckets in the same order, so the result
does not depend on when they were handed over. One bucket is the whole vector, and needs no thread.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import numpy as np

from distrib.base.arrays import Array
from distrib.base.ranges import Range
from distrib.comm.communicator import Communicator
from distrib.comm.messages.wait import patiently

FIRST_BUCKET_BYTES = 256 * 1024
DEFAULT_BUCKET_BYTES = 1024 * 1024


class GradientBuckets:
    """The collectives of one gradient and its values, bucket by bucket.

    Args:
        communicator: the collectives between the ranks. Nobody else may use it between the first `reduce` of a
            step and the end of `finish`.
        values: `(num_elements,)`.
        grads: `(num_elements,)`.
        bucket_bytes: size of all buckets but the first; 0 for a single one.
        compress: send float16 while reducing, with error feedback (`comm/messages/float16.py`).

    Attributes:
        owned: this rank's part of every bucket, in the order in which buckets are filled.
    """

    def __init__(
        self,
        communicator: Communicator,
        values: Array,
        grads: Array,
        bucket_bytes: int = 0,
        compress: bool = False,
    ) -> None:
        self._communicator = communicator
        self._ranges = list(cut(grads.size, grads.itemsize, bucket_bytes))
        self._grads = [communicator.part(grads, each) for each in self._ranges]
        self._values = [communicator.part(values, each) for each in self._ranges]
        residual = np.zeros_like(grads) if compress else None
        self.residuals = [None if residual is None else residual[each.slice] for each in self._ranges]
        self.owned = [_shifted(communicator.own_range(each.size), each.begin) for each in self._ranges]
        self._begun = 0
        self._thread: TaskThread | None = None

    def begin(self) -> None:
        """Begin a step: nothing is filled."""
        self._begun = 0
        if self._thread is not None:
            self._thread.end()
            self._thread = None

    def filled(self, begin: int) -> list[Range]:
        """The buckets that are complete, and not yet being reduced, once all from element `begin` on is."""
        return [each for each in self._ranges[self._begun :] if each.begin >= begin]

    def reduce(self, bucket: Range) -> None:
        """Begin to reduce-scatter a bucket of `filled`. The last one waits for `finish`."""
        index = self._begun
        self._begun += 1
        if bucket is not self._ranges[-1]:
            if self._thread is None:
                self._thread = TaskThread(self._reduce)
            self._thread.tasks.put(index)

    def finish(self, scalars: Array) -> Array:
        """Reduce-scatter what is left, and wait for all.

        Args:
            scalars: numbers that ride along and reach every rank.

        Returns:
            The scalars of all ranks. Valid until the next call.

        Raises:
            PeerLostError, ProtocolError: see the communicator; also for what the thread did.
        """
        began = time.perf_counter()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.finish()
        all_scalars = self._reduce(len(self._ranges) - 1, scalars)
        self._communicator.counters.seconds += time.perf_counter() - began
        return all_scalars

    def abandon(self) -> None:
        """Give up a step that an exception has left: afterwards the communicator is not in use."""
        thread, self._thread = self._thread, None
        if thread is not None:
            with contextlib.suppress(Exception):  # the first error is the one to be seen
                thread.finish()

    def forget(self) -> None:
        """The sums of this step are not used: what rounding took from them is not owed to the next."""
        for residual in self.residuals:
            if residual is not None:
                residual.fill(0)

    def all_gather(self, scalars: Array) -> Array:
        """Make the values whole on every rank. For `scalars` and the result see `finish`."""
        began = time.perf_counter()
        for part in self._values[:-1]:
            self._communicator.all_gather(part)
        all_scalars = self._communicator.all_gather(self._values[-1], scalars)
        self._communicator.counters.seconds += time.perf_counter() - began
        return all_scalars

    def gather(self, vector: Array) -> None:
        """Make another vector whole on every rank, of which each has filled what it owns."""
        for each in self._ranges:
            self._communicator.all_gather(vector[each.slice])

    def _reduce(self, index: int, scalars: Array | None = None) -> Array:
        residual = self.residuals[index]
        if residual is None:
            return self._communicator.reduce_scatter(self._grads[index], scalars=scalars)
        return self._communicator.reduce_scatter_float16(self._grads[index], residual, scalars)


def cut(num_elements: int, itemsize: int, bucket_bytes: int) -> Iterator[Range]:
    """Buckets from the end of a vector to its beginning, the first one small."""
    if not bucket_bytes:
        yield Range(0, num_elements)
        return
    end, size = num_elements, min(bucket_bytes, FIRST_BUCKET_BYTES)
    while end > max(1, size // itemsize):
        begin = end - max(1, size // itemsize)
        yield Range(begin, end)
        end, size = begin, bucket_bytes
    yield Range(0, end)


def _shifted(part: Range, offset: int) -> Range:
    return Range(part.begin + offset, part.end + offset)


class TaskThread:
    """Reduces the buckets of one step, by their index.

    A daemon: a rank that fails must not wait, while it ends, for peers that wait for it.
    """

    def __init__(self, reduce: Callable[[int], object]) -> None:
        self.tasks: SimpleQueue[int | None] = SimpleQueue()
        self._reduce = reduce
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="buckets", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Reduce what was put, and no more."""
        self.tasks.put(None)

    def finish(self) -> None:
        """Wait until all is done; raise what went wrong."""
        self.end()
        self._thread.join()  # the collectives inside have a deadline
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        patiently()
        try:
            while (index := self.tasks.get()) is not None:
                self._reduce(index)
        except BaseException as error:  # raised where `finish` is called
            self._error = error
