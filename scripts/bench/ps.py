#!/usr/bin/env python
"""Training speed of the seed model around parameter servers, 100 examples a push: programs in turn.

    scripts/bench/ps.py --hidden 100 --json ps.json
    scripts/bench/ps.py --sweep --json sweep.json

Ours, async and sync, with gRPC alone and through shared memory, with more workers and more ps; beside TensorFlow's
ParameterServerStrategy with its coordinator (legacy Keras), if `scripts/bench/peers` has made its environment.

`--sweep` looks for what one ps can serve: models of several sizes, with 1 and with 2 workers. It tells the pushes a
second, what share of the time the ps computes, and how many workers with cores of their own would keep it busy.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import machine
from train import PROGRAMS, ROOT, Contender, run, show, summary

SWEEP = (10, 30, 100, 300, 1000, 3000)


def contenders() -> list[Contender]:
    """The programs that this machine can run."""
    program, python = str(PROGRAMS / "ps_ours.py"), sys.executable
    found = []
    for name, flags in (
        ("async gRPC, 2 workers 1 ps", ["--grpc-only"]),
        ("async gRPC with prefetch, 2 workers 1 ps", ["--grpc-only", "--prefetch"]),
        ("async shared memory, 2 workers 1 ps", []),
        ("async shared memory with prefetch, 2 workers 1 ps", ["--prefetch"]),
        ("async shared memory, 1 worker 1 ps", ["--workers", "1"]),
        ("async shared memory, 3 workers 1 ps", ["--workers", "3"]),
        ("async shared memory, 2 workers 2 ps", ["--ps", "2"]),
        ("async gRPC, 2 workers 2 ps", ["--grpc-only", "--ps", "2"]),
        ("sync shared memory, 2 workers 1 ps", ["--mode", "sync"]),
        ("sync gRPC, 2 workers 1 ps", ["--mode", "sync", "--grpc-only"]),
    ):
        environ = {"OPENBLAS_NUM_THREADS": "1"}
        found.append(Contender(f"distrib {name}", [python, program, *flags], environ))
    peer = ROOT / ".venv-tensorflow" / "bin" / "python"
    if peer.exists():
        found.append(
            Contender("TensorFlow async, 2 workers 1 ps", [str(peer), str(PROGRAMS / "ps_tensorflow.py")])
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="part of the names of programs")
    parser.add_argument("--sweep", action="store_true", help="models of several sizes")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if options.sweep:
        sweep(options)
        return
    programs = [each for each in contenders() if options.only in each.name]
    runs: dict[str, list[dict[str, Any]]] = {each.name: [] for each in programs}
    for _ in range(options.rounds):
        for each in programs:
            runs[each.name].append(run(each, options))
    result = {"hidden": options.hidden, "unset": machine.UNSET, "programs": summary(runs)}
    show(result["programs"], options.hidden)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def sweep(options: argparse.Namespace) -> None:
    """Pushes a second and the share of the time that the ps computes, by the size of the model."""
    found = []
    print(
        f"{'weights':>10}{'transport':>16}{'pushes/s: 1':>14}{'2 workers':>12}{'ps busy':>10}{'saturated by':>16}"
    )
    for transport, flags in (("shared memory", []), ("gRPC", ["--grpc-only"])):
        for hidden in SWEEP:
            options.hidden, reports = hidden, []
            for workers in (1, 2):
                command = [sys.executable, str(PROGRAMS / "ps_ours.py"), "--workers", str(workers), *flags]
                reports.append(run(Contender(transport, command, {"OPENBLAS_NUM_THREADS": "1"}), options))
            one, two = (max(each["samples_per_second"]) / 100 for each in reports)
            row = {
                "weights": 784 * hidden + hidden + 10 * hidden + 10,
                "transport": transport,
                "pushes_per_second": [one, two],
                "ps_busy": reports[1]["ps_busy"],
                "saturating_workers": two / reports[1]["ps_busy"] / one,
            }
            found.append(row)
            print(
                f"{row['weights']:10}{transport:>16}{one:14.0f}{two:12.0f}{row['ps_busy']:10.2f}"
                f"{row['saturating_workers']:8.1f} workers"
            )
    if options.json:
        options.json.write_text(json.dumps({"unset": machine.UNSET, "sweep": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
