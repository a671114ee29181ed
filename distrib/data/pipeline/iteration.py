"""Iteration: one pass over a data set: what is drawn in it, and the threads that compute its elements."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

AUTOTUNE = -1
"""A number of threads or elements that is chosen here: as many threads as cores, two elements."""

_STREAM = 0xDA7A


class Iteration:
    """One pass over a data set.

    Args:
        seed: of what is drawn without a seed of its own; by default the global one.
        path: which pass this is; and where data sets are repeated within others, which of theirs.
        pools: threads, by their number, of the whole pass.

    Attributes:
        default_seed: returns the global seed.
    """

    @staticmethod
    def default_seed() -> int:
        """The global seed, where nothing has set this method to what returns it."""
        return 0

    def __init__(
        self,
        seed: int | None = None,
        path: tuple[int, ...] = (0,),
        pools: dict[int, ThreadPoolExecutor] | None = None,
    ) -> None:
        self.seed = type(self).default_seed() if seed is None else seed
        self._path = path
        self._pools = {} if pools is None else pools

    def of(self, index: int) -> Iteration:
        """The pass of a data set within this one."""
        return Iteration(self.seed, (*self._path, index), self._pools)

    def repeated(self, seed: int) -> Iteration:
        """A pass that is the same whichever this one is; in its threads.

        Args:
            seed: of what is drawn without a seed of its own.
        """
        return Iteration(seed, (0,), self._pools)

    def draws(self, seed: int | None, place: int, each_time: bool) -> np.random.Generator:
        """What a stage draws from.

        Args:
            seed: of the stage; None for that of the pass.
            place: of the stage in the pipeline, where it has no seed.
            each_time: whether other numbers are drawn in every pass.
        """
        own = [0, self.seed, place] if seed is None else [1, seed]
        words = [*own, *(self._path if each_time else ()), _STREAM]
        return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))

    def pool(self, num_threads: int | None) -> ThreadPoolExecutor | None:
        """Threads for this pass; None for none."""
        if num_threads is None or num_threads == 1:
            return None
        count = len(os.sched_getaffinity(0)) if num_threads == AUTOTUNE else num_threads
        if count not in self._pools:
            self._pools[count] = ThreadPoolExecutor(count, "data")
        return self._pools[count]

    def close(self) -> None:
        """The pass is over: its threads end."""
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)
        self._pools.clear()
