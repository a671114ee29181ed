#!/usr/bin/env python
"""Training speed of the seed model around parameter servers, 100 examples a push: programs in turn.

    scripts/bench/ps.py --hidden 100 --json ps.json

Ours, async and sync, with gRPC alone and through shared memory, with more workers and more ps; beside TensorFlow's
ParameterServerStrategy with its coordinator (legacy Keras), if `scripts/bench/peers` has made its environment.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import machine
from train import PROGRAMS, ROOT, Contender, run, show, summary


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
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    programs = [each for each in contenders() if options.only in each.name]
    runs: dict[str, list[dict[str, Any]]] = {each.name: [] for each in programs}
    for _ in range(options.rounds):
        for each in programs:
            runs[each.name].append(run(each, options))
    result = {"hidden": options.hidden, "unset": machine.UNSET, "programs": summary(runs)}
    show(result["programs"], options.hidden)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
