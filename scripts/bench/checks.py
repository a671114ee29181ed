#!/usr/bin/env python
"""What the checks of a step cost, each timed alone, at 4 MB of gradients: their sum as a share of the step.

    scripts/bench/checks.py --json checks.json

The checks are: NaN or Inf in the gradient, the header of every collective (making, packing and comparing it), the
hash of the values every 100 steps, what the watch is told (the step, the collective), and the heartbeat: the
processor time of all threads but the training thread, and a share of the liveness server, while nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import machine
import distrib
import numpy as np
from distrib.comm.messages.header import Header, Operation
from distrib.comm.reduce_op import ReduceOp

sys.path.insert(0, str(Path(__file__).resolve().parent / "programs"))

from stopwatch import Steps

HIDDEN = 1258  # a million weights
COLLECTIVES = 2
REST_S = 2.0


def median_us(function: Callable[[], object], repeats: int = 300) -> float:
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return 1e6 * statistics.median(times)


def heartbeat_share(server_pids: list[int], ranks: int) -> float:
    """The share of a core that the heartbeat takes: threads of this rank, and its part of the liveness server."""

    def server_s() -> float:
        ticks = sum(
            sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
            for pid in server_pids
        )
        return ticks / os.sysconf("SC_CLK_TCK")

    others, server = time.process_time() - time.thread_time(), server_s()
    time.sleep(REST_S)
    return (time.process_time() - time.thread_time() - others + (server_s() - server) / ranks) / REST_S


def servers() -> list[int]:
    """The processes that this one has started: on rank 0, the liveness server."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in listed.split()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--under-mpirun", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.under_mpirun:
        mpirun = [Path(sys.executable).with_name("mpirun"), "-n", "2", "--bind-to", "core", sys.executable]
        environ = {**os.environ, **machine.AS_ROOT}
        sys.exit(subprocess.run([*mpirun, *sys.argv, "--under-mpirun"], env=environ, check=False).returncode)
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
    buffer = model.network.buffer
    grads = np.ones_like(buffer.grads)
    transport = strategy.communicator.transport

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
        "heartbeat": step * heartbeat_share(servers(), strategy.num_replicas_in_sync),
    }
    if strategy.is_chief:
        print(f"a step of {grads.nbytes / 1e6:.1f} MB of gradients: {step:.0f} us")
        for name, cost in costs.items():
            print(f"{name:20} {cost:7.1f} us {cost / step:7.2%}")
        print(f"{'together':20} {sum(costs.values()):7.1f} us {sum(costs.values()) / step:7.2%}")
        if options.json:
            found = {"unset": machine.UNSET, "step_us": step, "costs_us": costs}
            options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
