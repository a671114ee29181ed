#!/usr/bin/env python
"""Pictures of what the benchmarks wrote, for docs/benchmarks.md. Needs the extra `bench` (matplotlib).

scripts/bench/plot.py --allreduce allreduce.json --train train-100.json train-1024.json --scaling scaling.json \
    --sweep sweep.json --output docs/images
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "distrib", "font.size": 9, "axes.spines.top": False})
import matplotlib.pyplot as plt  # noqa: E402

OURS, PEERS = "#1f6f8b", "#b8b8b8"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--allreduce", type=Path)
    parser.add_argument("--train", type=Path, nargs="*", default=[])
    parser.add_argument("--scaling", type=Path)
    parser.add_argument("--sweep", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    if options.allreduce:
        allreduce(json.loads(options.allreduce.read_text()), options.output / "allreduce.svg")
    for file in options.train:
        result = json.loads(file.read_text())
        train(result, options.output / f"train-{result['hidden']}.svg")
    if options.scaling:
        scaling(json.loads(options.scaling.read_text()), options.output / "scaling.svg")
    if options.sweep:
        sweep(json.loads(options.sweep.read_text()), options.output / "ps-sweep.svg")


def allreduce(result: dict[str, Any], file: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for job in result["runs"]:
        for name, seconds in job["seconds"].items():
            sizes = [int(size) for size in seconds]
            rates = [size / seconds[str(size)] / 1e9 for size in sizes]
            is_ours = name in ("shared_memory", "ring")
            if job["name"] != "Open MPI" and (is_ours or name == "memory copy"):
                continue  # one job stands for what does not depend on the library
            label = {"shared_memory": "distrib, shared memory", "ring": "distrib, ring over Open MPI"}.get(
                name, f"{name} ({job['name']})" if name == "MPI_Allreduce" else name
            )
            style = "-" if is_ours else ":" if name == "memory copy" else "--"
            axes.plot(
                sizes, rates, style, marker="o", markersize=3, label=label, linewidth=2 if is_ours else 1.2
            )
    axes.set(xscale="log", yscale="log", xlabel="bytes of the vector", ylabel="GB/s of payload")
    axes.set_title(f"All-reduce of float32, {result['ranks']} ranks on one host")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(file, metadata={"Date": None})


def train(result: dict[str, Any], file: Path) -> None:
    programs = result["programs"]
    figure, axes = plt.subplots(figsize=(7, 0.27 * len(programs) + 1), layout="constrained")
    names = list(programs)[::-1]
    rates = [programs[name]["samples_per_second"] / 1e3 for name in names]
    bars = axes.barh(names, rates, color=[OURS if name.startswith("distrib") else PEERS for name in names])
    axes.bar_label(bars, fmt="%.0f", padding=3)
    axes.set(
        xlabel="thousand samples a second", title=f"784-{result['hidden']}-10, Adam, 100 examples a replica"
    )
    figure.savefig(file, metadata={"Date": None})


def scaling(result: dict[str, Any], file: Path) -> None:
    """Time of a step over hosts: computing and communicating by themselves, one after the other, and with overlap."""
    runs = [each for each in result["runs"] if each["hosts"] > 1]
    figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
    bars = {
        "computing": ("#d9d9d9", lambda training: training["computing_seconds"]),
        "communicating": (PEERS, lambda training: training["communicating_seconds"]),
        "at once": ("#8fb8c7", lambda training: training["step_seconds"]["at once"]),
        "overlap": (OURS, lambda training: training["step_seconds"]["overlap"]),
        "overlap, float16": ("#0f4356", lambda training: training["step_seconds"]["overlap, float16"]),
    }
    for index, (name, (color, seconds)) in enumerate(bars.items()):
        places = [place + 0.16 * (index - 2) for place in range(len(runs))]
        drawn = axes.bar(
            places, [1e3 * seconds(each["training"]) for each in runs], 0.15, color=color, label=name
        )
        axes.bar_label(drawn, fmt="%.0f", fontsize=7)
    axes.set_xticks(
        range(len(runs)), [f"{each['hosts']} x {each['ranks'] // each['hosts']}" for each in runs]
    )
    axes.set(
        ylabel="ms a step", xlabel="hosts x ranks", title=f"Links of {result['rate']}: 2.9 million weights"
    )
    axes.legend(frameon=False, ncols=3, fontsize=8)
    axes.margins(y=0.25)
    figure.savefig(file, metadata={"Date": None})


def sweep(result: dict[str, Any], file: Path) -> None:
    """What one ps serves, by the size of the model."""
    figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
    for transport, color in (("shared memory", OURS), ("gRPC", "#c46f3a")):
        rows = [each for each in result["sweep"] if each["transport"] == transport]
        sizes = [each["weights"] for each in rows]
        for index, (style, workers) in enumerate(((":", "1 worker"), ("-", "2 workers"))):
            rates = [each["pushes_per_second"][index] for each in rows]
            label = f"{transport}, {workers}"
            axes.plot(sizes, rates, style, color=color, marker="o", markersize=3, label=label)
    axes.set(xscale="log", yscale="log", xlabel="weights", ylabel="pushes a second", title="One ps")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    main()
