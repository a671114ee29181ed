#!/usr/bin/env python
"""What a slow worker costs in sync, and what a backup worker saves: four workers around one ps, one slowed.

    scripts/bench/stragglers.py --json stragglers.json

Workers sleep instead of computing, so that few cores suffice. Each round runs all settings in turn; printed is the
time of a step, as the chief sees it over whole epochs, medians over the rounds, and the ratio to the first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
from train import PROGRAMS

SETTINGS = {
    "no straggler": [],
    "no straggler, 1 backup worker": ["--backups", "1"],
    "one slowed, 1 backup worker": ["--backups", "1", "--slow"],
    "one slowed, no backup worker": ["--slow"],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sleep", type=float, default=0.1, help="seconds of a push")
    parser.add_argument("--slowdown", type=float, default=4.0, help="how many times slower one worker is")
    parser.add_argument("--steps", type=int, default=20, help="updates of an epoch")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    runs: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(options.rounds):
        for name, flags in SETTINGS.items():
            runs[name].append(step_seconds(flags, options))
    first = runs["no straggler"]
    result = {}
    for name, seconds in runs.items():
        ratios = [mine / base for mine, base in zip(seconds, first, strict=True)]
        result[name] = {"step_s": statistics.median(seconds), "ratio": statistics.median(ratios)}
        print(f"{name:32}{1000 * result[name]['step_s']:8.1f} ms{result[name]['ratio']:8.3f}")
    if options.json:
        described = {"unset": machine.UNSET, "sleep_s": options.sleep, "slowdown": options.slowdown}
        options.json.write_text(json.dumps({**described, "settings": result}, indent=2) + "\n")


def step_seconds(flags: list[str], options: argparse.Namespace) -> float:
    """The mean time of a step in one run of the program."""
    flags = [flag if flag != "--slow" else f"--slowdown={options.slowdown}" for flag in flags]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        common = ["--sleep", options.sleep, "--steps", options.steps, "--epochs", options.epochs]
        command = [sys.executable, PROGRAMS / "ps_straggler.py", *flags, *common, "--report", report]
        ended = subprocess.run(
            [*map(str, command)],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if ended.returncode:
            sys.exit(f"{' '.join(map(str, command))} ended with {ended.returncode}:\n{ended.stdout}")
        return statistics.mean(json.loads(report.read_text())["step_s"])


if __name__ == "__main__":
    main()
