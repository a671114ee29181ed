#!/usr/bin/env python
"""What asynchronous training does to accuracy, and what heals it: the runs of docs/staleness.md.

    scripts/staleness.py --output docs/images --json staleness.json

Eight equal workers train the digits model with SGD and momentum, in virtual time
(`distrib/lab/virtual_cluster.py`): the policies and updates are the real ones, the computation takes as long as a
seed says. Every run is repeated with several seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import distrib
import numpy as np
from distrib.lab.virtual_cluster import VirtualCluster
from distrib.ps.policy.admission.rules import Rules

WORKERS, RATE, BATCH, EPOCHS = 8, 0.04, 32, 20

REMEDIES: dict[str, dict[str, Any]] = {
    "sync": {"mode": "sync"},
    "async": {},
    "drop, staleness > 3": {"staleness": distrib.DropStale(3)},
    "drop, staleness > 6": {"staleness": distrib.DropStale(6)},
    "scale, 1 / (1 + staleness)": {"staleness": distrib.ScaleStale("inverse")},
    "bound 0": {"staleness": distrib.BoundStale(0)},
    "bound 2": {"staleness": distrib.BoundStale(2)},
    "rate / 4": {"learning_rate_factor": 1 / 4},
    "rate / 8": {"learning_rate_factor": 1 / 8},
    "batch / 4": {"batch_size_factor": 1 / 4},
    "batch x 4": {"batch_size_factor": 4.0},
    "warm-up 5 epochs": {"warmup_epochs": 5},
    "warm-up 5 epochs, rate / 4": {"warmup_epochs": 5, "learning_rate_factor": 1 / 4},
}


def run(options: dict[str, Any], seed: int, epochs: int = EPOCHS, rate: float = RATE) -> dict[str, Any]:
    """Train once; returns the accuracy on the test images after every epoch, and the counts."""
    distrib.reset()
    (x, y), (x_test, y_test) = distrib.datasets.digits()
    model = distrib.Sequential(
        [
            distrib.layers.Flatten(input_shape=x.shape[1:]),
            distrib.layers.Dense(100, activation="relu"),
            distrib.layers.Dense(10, activation="softmax"),
        ],
        seed=seed,
    )
    # What diverges shall show where it ends, not stop the run.
    model.compile(
        distrib.optimizers.SGD(rate, momentum=0.9),
        "sparse_categorical_crossentropy",
        ["accuracy"],
        on_nonfinite="allow",
    )
    rules = Rules(**{"mode": "async", "num_workers": WORKERS, **options})
    cluster = VirtualCluster(model, rules, [1e-3] * WORKERS, seed=seed)
    accuracy: list[float] = []

    def tested() -> None:
        accuracy.append(model.evaluate(x_test / 16, y_test, verbose=0, return_dict=True)["accuracy"])

    with np.errstate(all="ignore"):
        took = cluster.fit(x / 16, y, BATCH, epochs, after_epoch=tested)
    return {"accuracy": accuracy, "seconds": np.cumsum(took).tolist(), **cluster.counts.as_json()}


def main() -> None:
    """Run all, print a table, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--output", type=Path, metavar="DIR", help="draw there (needs matplotlib)")
    options = parser.parse_args()
    results = {
        name: [run(remedy, seed) for seed in range(options.seeds)] for name, remedy in REMEDIES.items()
    }
    print("| | accuracy, median (worst) | staleness, mean | dropped of pushed | time of an epoch |")
    print("|---|---|---|---|---|")
    for name, runs in results.items():
        final = [each["accuracy"][-1] for each in runs]
        seconds = statistics.median(each["seconds"][-1] / EPOCHS for each in runs)
        usual = statistics.median(each["seconds"][-1] / EPOCHS for each in results["sync"])
        print(
            f"| {name} | {100 * statistics.median(final):.1f} ({100 * min(final):.1f}) "
            f"| {statistics.median(each['staleness_mean'] for each in runs):.1f} "
            f"| {statistics.median(each['dropped'] / each['pushed'] for each in runs):.0%} "
            f"| {seconds / usual:.2f} |"
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.output:
        draw(results, options.output)


def draw(results: dict[str, list[dict[str, Any]]], folder: Path) -> None:
    """Accuracy after every epoch, the median over the seeds; one small picture for each remedy."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "distrib", "font.size": 8, "axes.spines.top": False})
    import matplotlib.pyplot as plt

    names = [name for name in results if name not in ("sync", "async")]
    figure, grid = plt.subplots(3, 4, figsize=(9, 6), sharex=True, sharey=True, layout="constrained")
    for axes, name in zip(grid.flat, names, strict=False):
        for label, color, width in (("sync", "#b8b8b8", 2), ("async", "#d1605e", 1.5), (name, "#1f6f8b", 2)):
            curves = np.array([each["accuracy"] for each in results[label]])
            axes.plot(range(1, EPOCHS + 1), np.median(curves, axis=0), color=color, linewidth=width)
            if label == name:
                axes.fill_between(
                    range(1, EPOCHS + 1), curves.min(0), curves.max(0), color=color, alpha=0.2, linewidth=0
                )
        axes.set_title(name, fontsize=8)
        axes.grid(alpha=0.3)
    for axes in list(grid.flat)[len(names) :]:
        axes.axis("off")
        axes.plot([], [], color="#b8b8b8", label="sync")
        axes.plot([], [], color="#d1605e", label="async, plain")
        axes.plot([], [], color="#1f6f8b", label="async, with the remedy (range over seeds)")
        axes.legend(frameon=False, loc="center")
    figure.supxlabel("epoch")
    figure.supylabel("accuracy on the test images")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "staleness.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
