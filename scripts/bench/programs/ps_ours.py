"""Trains the seed model with distrib around parameter servers; started by `scripts/bench/ps.py`."""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import distrib

import contender
from stopwatch import Epochs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ps", type=int, default=1)
    parser.add_argument("--mode", default="async")
    parser.add_argument("--grpc-only", action="store_true")
    parser.add_argument("--prefetch", action="store_true")
    options = contender.parse(parser)
    with distrib.local_cluster(options.workers, options.ps):
        train(options)


def train(options: argparse.Namespace) -> None:
    x, y = contender.images()
    strategy = distrib.ParameterServerStrategy(
        mode=options.mode, share_memory=not options.grpc_only, prefetch=options.prefetch
    )
    with strategy.scope():
        model = distrib.Sequential(
            [
                distrib.layers.Dense(options.hidden, activation="relu", input_shape=(784,)),
                distrib.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    # In sync the batch is that of all workers.
    batch_size = 100 * (options.workers if options.mode == "sync" else 1)
    model.fit(x[: 10 * batch_size], y[: 10 * batch_size], batch_size=batch_size, verbose=0)
    first_step = time.time()
    epochs, busy = Epochs(), ps_seconds()
    model.fit(x, y, batch_size=batch_size, epochs=options.epochs, verbose=0, callbacks=[epochs])
    busy = ps_seconds() - busy
    if strategy.is_chief:
        contender.report(options, len(x), epochs.seconds, first_step, [contender.pss_bytes()])
        report = json.loads(options.report.read_text())
        options.report.write_text(json.dumps(report | {"ps_busy": busy / sum(epochs.seconds)}))


def ps_seconds() -> float:
    """Processor time of the parameter servers, which the chief's process has started."""
    ticks = 0
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        if "\0ps\0" in Path(f"/proc/{pid}/cmdline").read_text():
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
