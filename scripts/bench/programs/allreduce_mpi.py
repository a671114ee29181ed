"""All-reduce by ours, by MPI_Allreduce and by a memory copy, in turn; started by `scripts/bench/allreduce.py`."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import distrib
import numpy as np


def main() -> None:
    report, sizes, rounds = (
        Path(sys.argv[1]),
        [int(size) for size in sys.argv[2].split(",")],
        int(sys.argv[3]),
    )
    strategies = {
        name: distrib.MirroredStrategy(distrib.CommunicationOptions(implementation=name))
        for name in ("shared_memory", "ring", "hierarchical", "mpi")
    }
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    results: dict[str, dict[int, float]] = {}
    for size in sizes:
        vector, other = np.zeros(size // 4, np.float32), np.zeros(size // 4, np.float32)
        ours = {name: strategy.communicator for name, strategy in strategies.items()}
        vectors = {name: communicator.shared(vector) for name, communicator in ours.items()}

        def native(vector: np.ndarray = vector) -> None:
            world.Allreduce(MPI.IN_PLACE, vector)

        def copy(vector: np.ndarray = vector, other: np.ndarray = other) -> None:
            np.copyto(other, vector)

        programs: dict[str, Callable[[], object]] = {"MPI_Allreduce": native, "memory copy": copy}
        for name, communicator in ours.items():
            programs[name] = lambda c=communicator, v=vectors[name]: c.all_reduce(v)
        seconds: dict[str, list[float]] = {name: [] for name in programs}
        repeats = max(3, min(300, (64 << 20) // size))
        for _ in range(rounds):
            for name, program in programs.items():
                program()
                for _ in range(repeats):
                    world.Barrier()
                    begin = time.perf_counter()
                    program()
                    seconds[name].append(time.perf_counter() - begin)
        for name, times in seconds.items():
            results.setdefault(name, {})[size] = statistics.median(times)
    library = MPI.Get_library_version().split(",")[0].split("\n")[0].strip()
    if world.rank == 0:
        report.write_text(json.dumps({"library": library, "seconds": results}))


if __name__ == "__main__":
    main()
