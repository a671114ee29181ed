#!/usr/bin/env python
"""All-reduce of float32 over the ranks of this host: ours beside MPI_Allreduce, gloo, and a memory copy.

    scripts/bench/allreduce.py --json allreduce.json

Under each MPI that has an environment (`.venv` or the running one: Open MPI; `.venv-mpich`; `.venv-impi`: Intel MPI)
ours, `MPI_Allreduce` and a copy of the same bytes by every rank at once run in turn, in one job; gloo
runs from `.venv-torch`. `scripts/bench/peers` makes these environments. Printed: payload bytes by the median time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import machine

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KIB = 1024
SIZES = [4 * KIB * 4**power for power in range(9)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--max-bytes", type=int, default=SIZES[-1], help="largest vector")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    sizes = [size for size in SIZES if size <= options.max_bytes]

    runs = []
    for name, command, environ in jobs(options.ranks):
        print(f"{name} ...", file=sys.stderr)
        runs.append({"name": name, **run(command, environ, sizes, options)})
    for each in runs:
        show(each, sizes)
    result = {"ranks": options.ranks, "unset": machine.UNSET, "runs": runs, "ratios": ratios(runs, sizes)}
    show_ratios(result["ratios"], sizes)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def jobs(ranks: int) -> list[tuple[str, list[str], dict[str, str]]]:
    """Name, command and environment of each job that this machine can run."""
    program = str(HERE / "programs" / "allreduce_mpi.py")
    found = []
    for name, folder, environ in (
        ("Open MPI", Path(sys.prefix), {}),
        ("MPICH", ROOT / ".venv-mpich", {}),
        ("Intel MPI", ROOT / ".venv-impi", {"I_MPI_HYDRA_BOOTSTRAP": "fork"}),
    ):
        if (folder / "bin" / "mpirun").exists():
            place = ["--bind-to", "core"] if name == "Open MPI" and ranks <= (os.cpu_count() or 1) else []
            command = [str(folder / "bin" / "mpirun"), "-n", str(ranks), *place]
            # Intel's mpirun looks for the rest of itself on the path.
            path = {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
            found.append((name, [*command, str(folder / "bin" / "python"), program], {**environ, **path}))
    torchrun = ROOT / ".venv-torch" / "bin" / "torchrun"
    if torchrun.exists():
        launch = [str(torchrun), "--standalone", f"--nproc-per-node={ranks}"]
        found.append(("gloo", [*launch, str(HERE / "programs" / "allreduce_gloo.py")], {}))
    return found


def run(
    command: list[str], environ: dict[str, str], sizes: list[int], options: argparse.Namespace
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        ended = subprocess.run(
            [*command, str(report), ",".join(map(str, sizes)), str(options.rounds)],
            env={**os.environ, **machine.AS_ROOT, **environ},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        if ended.returncode or not report.exists():
            sys.exit(f"{' '.join(command)} failed:\n{ended.stdout}{ended.stderr}")
        return dict(json.loads(report.read_text()))


def ratios(runs: list[dict[str, Any]], sizes: list[int]) -> dict[str, dict[int, float]]:
    """How many times faster ours is: than its neighbours in the same job; than gloo with the best of its jobs."""
    found: dict[str, dict[int, float]] = {}
    for each in runs:
        seconds = each["seconds"]
        if "shared_memory" in seconds:
            for other in ("MPI_Allreduce", "memory copy"):
                found[f"{other} ({each['name']})"] = {
                    size: seconds[other][str(size)] / seconds["shared_memory"][str(size)] for size in sizes
                }
        else:
            best = {
                size: min(job["seconds"]["shared_memory"][str(size)] for job in runs if job is not each)
                for size in sizes
            }
            found["gloo"] = {size: seconds["gloo"][str(size)] / best[size] for size in sizes}
    return found


def show(each: dict[str, Any], sizes: list[int]) -> None:
    print(f"\n{each['name']} ({each['library']}), GB/s of payload (us below 64 KiB)")
    print(f"{'':24}" + "".join(f"{label(size):>9}" for size in sizes))
    for name, seconds in each["seconds"].items():
        cells = [
            f"{seconds[str(size)] * 1e6:7.1f}us"
            if size < 64 * KIB
            else f"{size / seconds[str(size)] / 1e9:9.1f}"
            for size in sizes
        ]
        print(f"{name:24}" + "".join(cells))


def show_ratios(found: dict[str, dict[int, float]], sizes: list[int]) -> None:
    print("\nshared_memory, times faster than")
    print(f"{'':24}" + "".join(f"{label(size):>9}" for size in sizes))
    for name, row in found.items():
        print(f"{name:24}" + "".join(f"{row[size]:9.2f}" for size in sizes))


def label(size: int) -> str:
    return f"{size // KIB} KiB" if size < KIB * KIB else f"{size // KIB // KIB} MiB"


if __name__ == "__main__":
    main()
