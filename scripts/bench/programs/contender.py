"""What every program of the training benchmark does alike: options, data, and the report."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np

EXAMPLES = 60_000


def parse(parser: argparse.ArgumentParser | None = None) -> argparse.Namespace:
    parser = parser or argparse.ArgumentParser()
    parser.add_argument("--hidden", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--report", type=Path, required=True)
    return parser.parse_args()


def images(examples: int = EXAMPLES) -> tuple[np.ndarray, np.ndarray]:
    """Random images and labels: the same work as real ones, on every machine."""
    rng = np.random.default_rng(0)
    return rng.random((examples, 784), dtype=np.float32), rng.integers(0, 10, examples)


def pss_bytes() -> int:
    """Memory of this process, shared pages divided by the number of processes that share them."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def report(
    options: argparse.Namespace, examples: int, epoch_seconds: list[float], first_step: float, pss: list[int]
) -> None:
    """Write what was measured.

    Args:
        options: the command line.
        examples: number of examples of an epoch, over all processes.
        epoch_seconds: duration of each epoch.
        first_step: `time.time()` when the first step was done.
        pss: `pss_bytes()` of each process.
    """
    result = {
        "samples_per_second": [examples / seconds for seconds in epoch_seconds],
        "first_step_s": first_step - float(os.environ["BENCH_BEGIN"]),
        "pss_bytes": pss,
    }
    options.report.write_text(json.dumps(result))
