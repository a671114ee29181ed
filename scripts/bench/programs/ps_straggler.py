"""Trains a small model in sync, with four workers that sleep; started by `scripts/bench/stragglers.py`."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import distrib
import numpy as np

WORKERS, STRAGGLER, EXAMPLES_A_PUSH = 4, 2, 8


class Pace(distrib.callbacks.Callback):
    """Sleeps before each push, and notes when each epoch began and ended."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds, self.took = seconds, []
        self._begin = 0.0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self._begin = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        time.sleep(self.seconds)

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.took.append(time.perf_counter() - self._begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backups", type=int, default=0)
    parser.add_argument("--sleep", type=float, required=True, help="seconds of a push")
    parser.add_argument("--slowdown", type=float, default=1.0, help="of the straggler")
    parser.add_argument("--steps", type=int, required=True, help="updates of an epoch")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--report", type=Path, required=True)
    options = parser.parse_args()
    with distrib.local_cluster(WORKERS, 1):
        train(options)


def train(options: argparse.Namespace) -> None:
    # Each worker of a round gets as much as in the other runs; so the rounds differ in nothing but who takes part.
    batch_size = EXAMPLES_A_PUSH * (WORKERS - options.backups)
    x = np.random.default_rng(0).normal(size=(batch_size * options.steps, 20)).astype(np.float32)
    strategy = distrib.ParameterServerStrategy(mode="sync", num_backup_workers=options.backups)
    pace = Pace(options.sleep * (options.slowdown if strategy.replica_id == STRAGGLER else 1.0))
    with strategy.scope():
        model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(20,))])
        model.compile("sgd", "mse")
    # The first epoch is not measured: the workers do not start at the same time.
    model.fit(x, x[:, :1], batch_size, epochs=1 + options.epochs, verbose=0, callbacks=[pace])
    if strategy.is_chief:
        steps = [seconds / options.steps for seconds in pace.took[1:]]
        counters = strategy.counters
        report = {"step_s": steps, "version": counters["version"], "dropped": counters["dropped"]}
        options.report.write_text(json.dumps(report))


if __name__ == "__main__":
    main()
