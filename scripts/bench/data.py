"""What data in batches costs: `fit` over a `Dataset` beside `fit` over arrays, and what prefetching hides.

    python scripts/bench/data.py

One core for numerics, 784-100-10, batches of 100, Adam. Each figure is the median of rounds in which all take turns.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import distrib
import numpy as np
from distrib.data import Dataset

EXAMPLES, BATCH, ROUNDS = 20_000, 100, 5


def model(hidden: int = 100) -> distrib.Sequential:
    made = distrib.Sequential(
        [
            distrib.layers.Dense(hidden, activation="relu", input_shape=(784,)),
            distrib.layers.Dense(10, activation="softmax"),
        ],
        seed=1,
    )
    made.compile("adam", "sparse_categorical_crossentropy")
    return made


def seconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def medians(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    """The median time of each, in seconds. They take turns."""
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            times[name].append(seconds(run))
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(EXAMPLES, 784)).astype(np.float32), rng.integers(0, 10, EXAMPLES)
    steps = EXAMPLES // BATCH
    trained = model()
    rows = Dataset.from_tensor_slices((x, y))
    runs = {
        "arrays": lambda: trained.fit(x, y, batch_size=BATCH, verbose=0),
        "shuffle(all).batch": lambda: trained.fit(rows.shuffle(EXAMPLES).batch(BATCH), verbose=0),
        "shuffle(1000).batch": lambda: trained.fit(rows.shuffle(1000).batch(BATCH), verbose=0),
        "batch": lambda: trained.fit(rows.batch(BATCH), verbose=0),
        "generator": lambda: trained.fit(
            ((x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, EXAMPLES, BATCH)), verbose=0
        ),
        "map of each example": lambda: trained.fit(rows.map(lambda x, y: (x * 2, y)).batch(BATCH), verbose=0),
        "map of batches": lambda: trained.fit(rows.batch(BATCH).map(lambda x, y: (x * 2, y)), verbose=0),
    }
    found = medians(runs)
    print(
        f"fit, one epoch of {steps} steps: {1e6 * found['arrays'] / steps:.0f} us/step with arrays. Ratios:"
    )
    for name, time_s in found.items():
        print(f"  {name:24} {time_s / found['arrays']:.2f}")

    half = found["arrays"] / steps / 2

    def slow(x: Any, y: Any) -> tuple[Any, Any]:
        time.sleep(half)
        return x, y

    waits = rows.batch(BATCH).map(slow)
    found |= medians(
        {
            "again": runs["batch"],
            "waits": lambda: trained.fit(waits, verbose=0),
            "prefetch": lambda: trained.fit(waits.prefetch(4), verbose=0),
        }
    )
    print("a map that waits for half a step; step rate beside that without it:")
    print(f"  without prefetch {found['again'] / found['waits']:.2f}")
    print(f"  prefetch(4)      {found['again'] / found['prefetch']:.2f}")

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.npy")
        large = np.lib.format.open_memmap(path, "w+", np.float32, (1_300_000, 784))
        del large
        mapped = np.load(path, mmap_mode="r")
        labels = np.zeros(len(mapped), np.int64)
        data = Dataset.from_tensor_slices((mapped, labels)).batch(BATCH)
        before = peak_of_own_memory()
        trained.fit(data, steps_per_epoch=3000, verbose=0)
        size, after = mapped.nbytes / 1e9, peak_of_own_memory()
        print(f"memory with a file of {size:.1f} GB: {before:.0f} MB before, {after:.0f} MB after")


def peak_of_own_memory() -> float:
    """Of this process, in MB, without pages of mapped files, which the system may take back."""
    with open("/proc/self/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return int(fields["RssAnon"].split()[0]) / 1024


if __name__ == "__main__":
    main()
