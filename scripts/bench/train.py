#!/usr/bin/env python
"""Training speed of the seed model, 784-hidden-10 with Adam: programs in turn, 100 examples per replica.

    scripts/bench/train.py --hidden 100 --json train.json

Ours at 1, 2 and 4 processes, and every peer that has an environment (`scripts/bench/peers` makes them: PyTorch,
TensorFlow, JAX), each at its best settings.

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
ROOT = HERE.parents[1]
ONE_CORE = ["taskset", "--cpu-list", "0"]


@dataclass
class Contender:
    """A program, and how to start it."""

    name: str
    command: list[str]
    environ: dict[str, str] = field(default_factory=dict)


def contenders(only: str) -> list[Contender]:
    """The programs that this machine can run, those called `only` (names divided by commas) or all."""
    found = [*ours(), *pytorch(), *tensorflow(), *with_jax()]
    return [each for each in found if not only or each.name in only.split(",")]


def ours() -> list[Contender]:
    python, mpirun = sys.executable, str(Path(sys.executable).with_name("mpirun"))
    program = str(PROGRAMS / "ours.py")
    found = []
    for jit in (0, 1) if find_spec("numba") else (0,):
        environ, suffix = {"DISTRIB_JIT": str(jit)}, " jit" if jit else ""
        one_thread = {**environ, "OPENBLAS_NUM_THREADS": "1"}
        found.append(Contender(f"distrib 1{suffix}", [*ONE_CORE, python, program], one_thread))
        for ranks in (2, 4):
            # More ranks than cores cannot have one each.
            place = ["--oversubscribe"] if ranks > (os.cpu_count() or 1) else ["--bind-to", "core"]
            command = [mpirun, "-n", str(ranks), *place, python, program]
            found.append(Contender(f"distrib {ranks}{suffix}", command, environ))
            central = [*command, "--strategy", "CentralStorageStrategy"]
            found.append(Contender(f"distrib {ranks} central{suffix}", central, environ))
    # Not bound to cores: the busy process has one of them.
    unbound = [mpirun, "-n", "2", "--bind-to", "none", python, program]
    busy = [python, str(PROGRAMS / "beside_a_busy_process.py"), *unbound]
    for name, command in (("not bound to cores", unbound), ("beside a busy process", busy)):
        found.append(Contender(f"distrib 2 {name}", command, {"DISTRIB_JIT": "0"}))
    return found


def pytorch() -> list[Contender]:
    folder, program = ROOT / ".venv-torch" / "bin", str(PROGRAMS / "pytorch.py")
    if not (folder / "torchrun").exists():
        return []
    launch = [str(folder / "torchrun"), "--standalone", "--nproc-per-node=2"]
    return [
        Contender("PyTorch eager 1", [*ONE_CORE, str(folder / "python"), program]),
        Contender("PyTorch DDP 2", [*launch, program], {"OMP_NUM_THREADS": "1"}),
    ]


def tensorflow() -> list[Contender]:
    python, program = ROOT / ".venv-tensorflow" / "bin" / "python", str(PROGRAMS / "with_tensorflow.py")
    if not python.exists():
        return []
    strategies = ("MirroredStrategy", "CentralStorageStrategy", "MultiWorkerMirroredStrategy")
    return [
        Contender("TensorFlow fit 1", [*ONE_CORE, str(python), program]),
        *(
            Contender(f"TensorFlow {name} 2", [str(python), program, "--strategy", name])
            for name in strategies
        ),
    ]


def with_jax() -> list[Contender]:
    python, program = ROOT / ".venv-jax" / "bin" / "python", str(PROGRAMS / "with_jax.py")
    if not python.exists():
        return []
    command = [str(python), program, "--batch-size"]
    return [
        Contender("JAX one core", [*ONE_CORE, *command, "100"]),
        Contender("JAX both cores", [*command, "200"]),
        Contender("JAX one core scan", [*ONE_CORE, *command, "100", "--loop", "scan"]),
        Contender("JAX both cores scan", [*command, "200", "--loop", "scan"]),
    ]


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
                print(f"\rround {number + 1} of {options.rounds}: {each.name:40}", end="", file=sys.stderr)
            runs[each.name].append(run(each, options))
    if sys.stderr.isatty():
        print("\r" + " " * 70 + "\r", end="", file=sys.stderr)
    result = {"hidden": options.hidden, "unset": machine.UNSET, "programs": summary(runs)}
    show(result["programs"], options.hidden)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def run(contender: Contender, options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        arguments = ["--hidden", options.hidden, "--epochs", options.epochs, "--report", report]
        environ = {**os.environ, **machine.AS_ROOT, **contender.environ, "BENCH_BEGIN": str(time.time())}
        ended = subprocess.run(
            [*contender.command, *map(str, arguments)],
            env=environ,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if not report.exists():
            sys.exit(f"{contender.name} failed:\n{ended.stdout}{ended.stderr}")
        if ended.returncode:  # PyTorch's processes sometimes abort while they end
            print(f"{contender.name} exited with {ended.returncode} after its report", file=sys.stderr)
        return dict(json.loads(report.read_text()))


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
        f"hidden {hidden:<30} samples/s   ratio to {next(iter(programs))}   first step   MB a process (PSS)"
    )
    for name, row in programs.items():
        print(
            f"{name:36} {row['samples_per_second']:10.0f} {row['ratio']:10.2f} "
            f"{row['first_step_s']:18.2f} s {row['pss_mb']:12.0f}"
        )


if __name__ == "__main__":
    main()
