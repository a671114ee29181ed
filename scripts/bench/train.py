#!/usr/bin/env python
"""Training speed of the seed model, 784-hidden-10 with Adam: programs in turn, 100 examples per replica.

    scripts/bench/train.py --hidden 100 --json train.json

Every round runs each program once, in a process (or under an mpirun) of its own, and takes its best epoch; printed
are the medians over the rounds, and the ratios of each to the first. A ratio is the median of the ratios within a
round, so that a machine that changes its speed between rounds does not change it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import machine

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"


@dataclass
class Contender:
    """A program, and how to start it."""

    name: str
    command: list[str]
    environ: dict[str, str] = field(default_factory=dict)


def contenders(only: str) -> list[Contender]:
    python, mpirun = sys.executable, str(Path(sys.executable).with_name("mpirun"))
    ours = str(PROGRAMS / "ours.py")
    found = []
    for jit in (0, 1) if find_spec("numba") else (0,):
        environ = {"DISTRIB_JIT": str(jit)}
        suffix = " jit" if jit else ""
        one_core = {**environ, "OPENBLAS_NUM_THREADS": "1"}
        found.append(Contender(f"distrib 1{suffix}", ["taskset", "-c", "0", python, ours], one_core))
        for ranks in (2, 4):
            # More ranks than cores cannot have one each.
            place = ["--oversubscribe"] if ranks > (os.cpu_count() or 1) else ["--bind-to", "core"]
            command = [mpirun, "-n", str(ranks), *place, python, ours]
            found.append(Contender(f"distrib {ranks}{suffix}", command, environ))
            central = [*command, "--strategy", "CentralStorageStrategy"]
            found.append(Contender(f"distrib {ranks} central{suffix}", central, environ))
    return [each for each in found if not only or each.name in only.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="names of programs, divided by commas")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()

    programs = contenders(options.only)
    runs: dict[str, list[dict[str, Any]]] = {each.name: [] for each in programs}
    for number in range(options.rounds):
        for each in programs:
            if sys.stderr.isatty():
                print(f"\rround {number + 1} of {options.rounds}: {each.name:30}", end="", file=sys.stderr)
            runs[each.name].append(run(each, options))
    if sys.stderr.isatty():
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    result = {"hidden": options.hidden, "unset": machine.UNSET, "programs": summary(runs)}
    show(result["programs"], options.hidden)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def run(contender: Contender, options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        arguments = ["--hidden", options.hidden, "--epochs", options.epochs, "--report", report]
        environ = {**os.environ, **as_root(), **contender.environ, "BENCH_BEGIN": str(time.time())}
        ended = subprocess.run(
            [*contender.command, *map(str, arguments)],
            env=environ,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if ended.returncode or not report.exists():
            sys.exit(f"{contender.name} failed:\n{ended.stdout}{ended.stderr}")
        return dict(json.loads(report.read_text()))


def as_root() -> dict[str, str]:
    """Root, as in a container, is meant here."""
    return {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def summary(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    best = {name: [max(each["samples_per_second"]) for each in results] for name, results in runs.items()}
    first = next(iter(best.values()))
    return {
        name: {
            "samples_per_second": statistics.median(rates),
            "ratio": statistics.median(rate / base for rate, base in zip(rates, first, strict=True)),
            "first_step_s": statistics.median(each["first_step_s"] for each in runs[name]),
            "pss_mb": max(max(each["pss_bytes"]) for each in runs[name]) / 1e6,
            "rounds": rates,
        }
        for name, rates in best.items()
    }


def show(programs: dict[str, Any], hidden: int) -> None:
    print(
        f"hidden {hidden:<14} samples/s   ratio to {next(iter(programs))}   first step   MB a process (PSS)"
    )
    for name, row in programs.items():
        print(
            f"{name:20} {row['samples_per_second']:10.0f} {row['ratio']:10.2f} "
            f"{row['first_step_s']:18.2f} s {row['pss_mb']:12.0f}"
        )


if __name__ == "__main__":
    main()
