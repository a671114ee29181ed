"""Counts of right and wrong decisions at thresholds, and what is made of them: precision and recall.

Every prediction above a threshold is decided as positive. The counts of a batch at all thresholds come from one pass:
each prediction is put into the bucket between two thresholds, and the buckets are summed from above.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.metrics.metric import SumsMetric


def counts_above(
    thresholds: Array, y_true: Array, y_pred: Array, weight: Array | None
) -> tuple[Array, Array]:
    """Weighted numbers of positives and of negatives whose prediction is above each threshold.

    Args:
        thresholds: `(num_thresholds,)`, rising.
        y_true: `(n,)`; positive where it is true.
        y_pred: `(n,)`.
        weight: `(n,)`, or None.

    Returns:
        Two arrays `(num_thresholds,)`: true positives and false positives.
    """
    bucket = np.searchsorted(thresholds, y_pred, side="left")  # how many thresholds are below
    positive = y_true.astype(bool)
    found = []
    for chosen in (positive, ~positive):
        weights = None if weight is None else weight[chosen]
        in_bucket = np.bincount(bucket[chosen], weights, minlength=len(thresholds) + 1)
        found.append(np.cumsum(in_bucket[::-1])[::-1][1:].astype(np.float64))
    return found[0], found[1]


def measured(thresholds: Array, true: Array, pred: Array, weights: Array | None, out: Array) -> None:
    """Write true and false positives at each threshold, and the numbers of positives and negatives."""
    num = len(thresholds)
    out[:num], out[num : 2 * num] = counts_above(thresholds, true, pred, weights)
    ones = np.ones(len(true)) if weights is None else weights
    out[-2] = np.sum(ones[true.astype(bool)])
    out[-1] = np.sum(ones) - out[-2]


def split(sums: Array) -> tuple[Array, Array, Array, Array]:
    """True positives, false positives, false negatives and true negatives of sums by `measured`."""
    num = (len(sums) - 2) // 2
    true, false = sums[:num], sums[num : 2 * num]
    return true, false, sums[-2] - true, sums[-1] - false


def flat(y_true: Array, y_pred: Array, weight: Array | None, class_id: int | None = None) -> Any:
    """Targets, predictions and weights of all elements, or of those of one class, as vectors."""
    y_true = y_true.reshape(y_pred.shape)
    if class_id is not None:
        y_true, y_pred = y_true[..., class_id], y_pred[..., class_id]
    if weight is not None:
        weight = np.broadcast_to(weight.reshape(-1, *[1] * (y_pred.ndim - 1)), y_pred.shape).reshape(-1)
    return y_true.reshape(-1), y_pred.reshape(-1), weight


def checked_thresholds(name: str, thresholds: Any, default: float = 0.5) -> Array:
    """The thresholds as an array, rising or not. Raises `ConfigError` for one outside of [0, 1]."""
    found = np.atleast_1d(np.asarray(default if thresholds is None else thresholds, np.float64))
    if not ((found >= 0) & (found <= 1)).all():
        raise ConfigError(f"{name} expects thresholds in [0, 1]. Received: {thresholds!r}.")
    return found


class ConfusionCounts(SumsMetric):
    """True positives, false positives, positives and negatives, at each threshold.

    Args:
        thresholds: one, or several, each with a result; 0.5 by default.
        name: see `Metric`.
        dtype: see `Metric`.
        top_k: decide as positive the `k` largest of a row instead, whatever the threshold.
        class_id: look at this class only.

    Raises:
        ConfigError: a threshold outside of [0, 1].
    """

    def __init__(
        self,
        thresholds: Any = None,
        name: str | None = None,
        dtype: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
    ) -> None:
        given = checked_thresholds(type(self).__name__, thresholds)
        self._rising, self._order = np.sort(given), np.argsort(np.argsort(given, kind="stable"))
        super().__init__(2 * len(given) + 2, name, dtype)
        self.thresholds = thresholds if thresholds is None or np.ndim(thresholds) == 0 else list(thresholds)
        self.top_k, self.class_id = top_k, class_id

    def measure(self, y_true: Array, y_pred: Array, weight: Array | None, out: Array) -> None:
        y_true = y_true.reshape(y_pred.shape)
        if self.top_k is not None:
            kth = np.partition(y_pred, -self.top_k, axis=-1)[..., -self.top_k :].min(axis=-1, keepdims=True)
            y_pred = np.where(y_pred >= kth, 1.0, 0.0)
        true, pred, weights = flat(y_true, y_pred, weight, self.class_id)
        measured(self._rising, true, pred, weights, out)

    def counts(self) -> tuple[Array, Array, Array, Array]:
        """True positives, false positives, false negatives and true negatives, each `(num_thresholds,)`, rising."""
        return split(self._state)

    def _shaped(self, values: Array) -> Any:
        """One number for one threshold; for several those in the order in which they were given."""
        return float(values[0]) if len(values) == 1 else values[self._order]


class _Count(ConfusionCounts):
    """One of the four counts."""

    which: ClassVar[int]
    """Its place among `counts`."""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, name, dtype)

    def current(self) -> Any:
        return self._shaped(self.counts()[self.which])


class TruePositives(_Count):
    """Number of positives that are decided as positive."""

    direction, which = "up", 0


class FalsePositives(_Count):
    """Number of negatives that are decided as positive."""

    direction, which = "down", 1


class FalseNegatives(_Count):
    """Number of positives that are decided as negative."""

    direction, which = "down", 2


class TrueNegatives(_Count):
    """Number of negatives that are decided as negative."""

    direction, which = "up", 3


class Precision(ConfusionCounts):
    """Share of positives among what is decided as positive; see `ConfusionCounts`."""

    direction = "up"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(thresholds, name, dtype, top_k, class_id)

    def current(self) -> Any:
        true, false, _, _ = self.counts()
        return self._shaped(divided(true, true + false))


class Recall(ConfusionCounts):
    """Share of the positives that is decided as positive; see `ConfusionCounts`."""

    direction = "up"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(thresholds, name, dtype, top_k, class_id)

    def current(self) -> Any:
        true, _, missed, _ = self.counts()
        return self._shaped(divided(true, true + missed))


def divided(numerator: Array, denominator: Array) -> Array:
    """The quotient, and 0 where the denominator is."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)
