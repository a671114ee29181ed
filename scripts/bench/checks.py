#!/usr/bin/env python
"""What the checks of a step cost, each timed alone, at 4 MB of gradients: their sum as a share of the step.

    mpirun -n 2 --bind-to core python scripts/bench/checks.py

The checks are: NaN or Inf in the gradient, the header of every collective (making, packing and comparing it), the
hash of the values every 100 steps, and what the watch is told (the step, the collective).
"""

from __future__ import annotations

import statistics
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import machine  # noqa: F401  (before NumPy)
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent / "programs"))

from stopwatch import Steps

import distrib
from distrib.comm.communicator import ReduceOp
from distrib.comm.header import Header, Operation

HIDDEN = 1258  # a million weights
COLLECTIVES = 2


def median_us(function: Callable[[], object], repeats: int = 300) -> float:
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return 1e6 * statistics.median(times)


def main() -> None:
    strategy = distrib.MirroredStrategy()
    with strategy.scope():
        model = distrib.Sequential(
            [
                distrib.layers.Dense(HIDDEN, activation="relu", input_shape=(784,)),
                distrib.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
    rng, size = np.random.default_rng(0), 100 * strategy.num_replicas_in_sync
    x, y = rng.random((20 * size, 784), dtype=np.float32), rng.integers(0, 10, 20 * size)
    steps = Steps()
    model.fit(x, y, batch_size=size, epochs=6, verbose=0, callbacks=[steps])
    step = 1e6 * statistics.median(steps.seconds[20:])
    buffer = model._network.buffer
    grads = np.ones_like(buffer.grads)
    transport = getattr(strategy.communicator, "_transport", None)

    def header() -> bool:
        made = Header(
            Operation.REDUCE_SCATTER, ReduceOp.SUM, "float32", bytes(8), 1, grads.size, bytes(8), 0, 6, True
        )
        return made.pack() == bytes(64)

    costs = {
        "NaN or Inf": median_us(lambda: buffer.first_nonfinite(grads)),
        "headers": COLLECTIVES * median_us(header),
        "hash of the values": median_us(lambda: zlib.crc32(buffer.values.data)) / 100,
        "watch": median_us(lambda: strategy.communicator.at_step(1))
        + COLLECTIVES * (0.0 if transport is None else median_us(transport.check_peers)),
    }
    if strategy.is_chief:
        print(f"a step of {grads.nbytes / 1e6:.1f} MB of gradients: {step:.0f} us")
        for name, cost in costs.items():
            print(f"{name:20} {cost:7.1f} us {cost / step:7.2%}")
        print(f"{'together':20} {sum(costs.values()):7.1f} us {sum(costs.values()) / step:7.2%}")


if __name__ == "__main__":
    main()
