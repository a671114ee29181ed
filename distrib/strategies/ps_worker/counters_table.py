"""Formats the statistics of pushes, and the time of every worker, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrib.ps.policy.admission.push_counts import CAUSES

_COUNTS = {name: name for name in ("pushed", "applied", "dropped", "scaled")} | {
    "staleness_mean": "staleness",
    "effective_batch": "batch",
}
_MEANS = ("staleness_mean", "effective_batch")


def table(counters: Mapping[str, Any]) -> str:
    """A row for all workers and one for each; the histogram of the staleness below.

    `batch` is the effective one: the examples of an update on average, and what of them a worker brought to those
    updates that it took part in.

    Args:
        counters: see `ParameterServerStrategy.counters`.
    """
    workers = counters["workers"]
    seconds = {cause: sum(each["seconds"][cause] for each in workers.values()) for cause in CAUSES}
    rows = {
        "all": {**counters, "seconds": seconds},
        **{f"worker {name}": each for name, each in workers.items()},
    }
    lines = [f"{'':10}" + "".join(f"{name:>10}" for name in (*_COUNTS.values(), *CAUSES))]
    lines += [f"{name:10}" + "".join(f"{cell:>10}" for cell in _cells(row)) for name, row in rows.items()]
    histogram = ", ".join(f"{age}: {number}" for age, number in counters["staleness_histogram"].items())
    return "\n".join([*lines, f"staleness of what was applied: {histogram}"])


def _cells(row: Mapping[str, Any]) -> list[str]:
    counts = [f"{row[name]:.1f}" if name in _MEANS else str(row[name]) for name in _COUNTS]
    total = sum(row["seconds"].values())
    return counts + [f"{row['seconds'][cause] / total:.0%}" if total else "" for cause in CAUSES]
