#!/usr/bin/env python
"""The training core beside a hand-written NumPy loop of the same arithmetic, in turn, on one core.

    scripts/bench/core.py --hidden 100 --json core.json

Both train the seed model (784-hidden-10, Adam, loss and accuracy included) on random images, 100 examples a step,
in arrays allocated once; with numba installed, `fit` runs with and without it. Also printed: the rate of large matrix
products, which says how fast this machine is today, and the most memory that Python allocates within a step.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import machine
import distrib
import numpy as np
from distrib.nn import jit
from threadpoolctl import threadpool_limits

BATCH = 100


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=100)
    parser.add_argument("--examples", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    x = rng.random((options.examples, 784), dtype=np.float32)
    y = rng.integers(0, 10, options.examples)
    with threadpool_limits(1, user_api="blas"):
        gflops = matrix_rate()
        by_hand = HandWritten(options.hidden)
        programs = {"hand-written": lambda: by_hand.epoch(x, y, rng)}
        for name in ["fit", "fit jit"] if jit.available() else ["fit"]:
            programs[name] = fit(name, options.hidden, x, y)
        for program in programs.values():
            program()
        seconds: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(options.rounds):
            for name, program in programs.items():
                seconds[name].append(timed(program))
        peak = step_peak_bytes(make_model(options.hidden), x, y)

    medians = {name: statistics.median(values) for name, values in seconds.items()}
    result = {
        "hidden": options.hidden,
        "samples_per_second": {name: options.examples / value for name, value in medians.items()},
        "ratio": medians["fit"] / medians["hand-written"],
        "unset": machine.UNSET,
        "matrix_gflops_one_core": gflops,
        "step_peak_bytes": peak,
    }
    for name, rate in result["samples_per_second"].items():
        print(f"{name:>13}: {rate:9.0f} samples/s   {1e6 * BATCH / rate:7.0f} us/step")
    print(f"        ratio: {result['ratio']:.3f} (fit over hand-written, medians of {options.rounds})")
    print(f"      machine: {gflops:.0f} Gflop/s in float32 matrix products on one core")
    print(f"  step memory: {peak} bytes at most, after the first step")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def fit(name: str, hidden: int, x: np.ndarray, y: np.ndarray) -> Callable[[], object]:
    """One epoch of `fit`; the optimizer is compiled or not, by the name."""
    model = make_model(hidden)

    def epoch() -> None:
        os.environ["DISTRIB_JIT"] = "1" if name == "fit jit" else "0"
        model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)

    return epoch


def make_model(hidden: int) -> distrib.Sequential:
    model = distrib.Sequential(
        [
            distrib.layers.Flatten(input_shape=(784,)),
            distrib.layers.Dense(hidden, activation="relu"),
            distrib.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return model


def step_peak_bytes(model: distrib.Sequential, x: np.ndarray, y: np.ndarray) -> int:
    class Peak(distrib.callbacks.Callback):
        peak = 0

        def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
            if batch:
                tracemalloc.reset_peak()
                self.before = tracemalloc.get_traced_memory()[0]

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            if batch:
                self.peak = max(self.peak, tracemalloc.get_traced_memory()[1] - self.before)

    watcher = Peak()
    tracemalloc.start()
    model.fit(x[: 10 * BATCH], y[: 10 * BATCH], batch_size=BATCH, verbose=0, callbacks=[watcher])
    tracemalloc.stop()
    return watcher.peak


def matrix_rate() -> float:
    a = np.ones((1500, 1500), np.float32)
    out = np.empty_like(a)
    best = min(timed(lambda: np.matmul(a, a, out=out)) for _ in range(5))
    return 2 * 1500**3 / best / 1e9


def timed(call: object) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


class HandWritten:
    """What a careful person would write for this one model."""

    def __init__(self, hidden: int) -> None:
        rng = np.random.default_rng(0)
        shapes = [(784, hidden), (hidden,), (hidden, 10), (10,)]
        sizes = [int(np.prod(shape)) for shape in shapes]
        ends = np.cumsum(sizes)
        self.values, self.grads, self.m, self.v = (np.zeros(ends[-1], np.float32) for _ in range(4))
        cut = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        self.w = [self.values[c].reshape(s) for c, s in zip(cut, shapes, strict=True)]
        self.g = [self.grads[c].reshape(s) for c, s in zip(cut, shapes, strict=True)]
        for kernel in (self.w[0], self.w[2]):
            limit = np.sqrt(6 / sum(kernel.shape))
            kernel[...] = rng.uniform(-limit, limit, kernel.shape)
        f32 = np.float32
        self.x, self.labels = np.empty((BATCH, 784), f32), np.empty(BATCH, np.int64)
        self.h, self.dh = np.empty((BATCH, hidden), f32), np.empty((BATCH, hidden), f32)
        self.positive = np.empty((BATCH, hidden), bool)
        self.z, self.row = np.empty((BATCH, 10), f32), np.empty((BATCH, 1), f32)
        self.guess, self.right = np.empty(BATCH, np.intp), np.empty(BATCH, bool)
        self.rows = np.arange(BATCH)
        self.piece = np.empty(32 * 1024, f32)
        self.t = 0

    def epoch(self, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
        order = rng.permutation(len(x))
        loss, right = 0.0, 0
        (w1, b1, w2, b2), (g1, c1, g2, c2) = self.w, self.g
        h, z, dh, row = self.h, self.z, self.dh, self.row
        for begin in range(0, len(x), BATCH):
            index = order[begin : begin + BATCH]
            np.take(x, index, axis=0, out=self.x, mode="clip")
            np.take(y, index, out=self.labels, mode="clip")
            np.matmul(self.x, w1, out=h)
            h += b1
            np.maximum(h, 0, out=h)
            np.matmul(h, w2, out=z)
            z += b2
            np.argmax(z, axis=1, out=self.guess)
            right += np.count_nonzero(np.equal(self.guess, self.labels, out=self.right))
            z -= np.max(z, axis=1, keepdims=True, out=row)
            at_label = z[self.rows, self.labels]
            np.exp(z, out=z)
            np.sum(z, axis=1, keepdims=True, out=row)
            loss += float(np.log(row).sum() - at_label.sum())
            z /= row
            z[self.rows, self.labels] -= 1
            z /= BATCH
            np.matmul(h.T, z, out=g2)
            np.sum(z, axis=0, out=c2)
            np.matmul(z, w2.T, out=dh)
            np.greater(h, 0, out=self.positive)
            dh *= self.positive
            np.matmul(self.x.T, dh, out=g1)
            np.sum(dh, axis=0, out=c1)
            self.adam()
        return loss / len(x), right / len(x)

    def adam(self) -> None:
        self.t += 1
        f32 = np.float32
        alpha = f32(1e-3 * np.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t))
        keep_1, keep_2, epsilon, size = f32(0.1), f32(0.001), f32(1e-7), self.piece.size
        for begin in range(0, self.values.size, size):
            part = slice(begin, begin + size)
            g, m, v = self.grads[part], self.m[part], self.v[part]
            change = self.piece[: g.size]
            np.subtract(g, m, out=change)
            change *= keep_1
            m += change
            np.multiply(g, g, out=change)
            change -= v
            change *= keep_2
            v += change
            np.sqrt(v, out=change)
            change += epsilon
            np.divide(m, change, out=change)
            change *= alpha
            self.values[part] -= change


if __name__ == "__main__":
    main()
