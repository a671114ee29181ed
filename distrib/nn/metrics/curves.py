"""Curves over thresholds: the area under one, and the best point on one side of a bound."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.metrics.confusion import checked_thresholds, divided, flat, measured, split
from distrib.nn.metrics.metric import SumsMetric

_EPSILON = 1e-7


def spread_thresholds(count: int) -> Array:
    """`count` thresholds, evenly spread over [0, 1], the ends a little outside, as in Keras."""
    inner = (np.arange(count - 2) + 1.0) / (count - 1)
    return np.array([-_EPSILON, *inner, 1.0 + _EPSILON])


class AUC(SumsMetric):
    """The area under a curve, by Riemann sums over thresholds.

    Args:
        num_thresholds: number of thresholds, evenly spread over [0, 1].
        curve: `"ROC"`, of the true positive rate over the false positive rate; or `"PR"`, of precision over recall.
        summation_method: `"interpolation"`, `"minoring"` or `"majoring"`. The first takes the mean height for ROC,
            and interpolates the counts for PR (Davis and Goadrich, 2006).
        name: see `Metric`.
        dtype: see `Metric`.
        thresholds: instead of `num_thresholds`, those between 0 and 1.
        multi_label: not supported: only False.
        num_labels: likewise None.
        label_weights: likewise None.
        from_logits: predictions are logits.

    Raises:
        ConfigError: an argument outside of these.
    """

    direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        if curve not in ("ROC", "PR"):
            raise ConfigError(f"AUC expects curve ROC or PR. Received: curve={curve!r}.")
        if summation_method not in ("interpolation", "minoring", "majoring"):
            raise ConfigError(
                "AUC expects summation_method interpolation, minoring or majoring. "
                f"Received: {summation_method!r}."
            )
        if multi_label or num_labels is not None or label_weights is not None:
            raise ConfigError("AUC does not support multi_label: use one AUC for each output.")
        if thresholds is not None:
            inner = np.sort(checked_thresholds("AUC", thresholds))
            self._thresholds = np.array([-_EPSILON, *inner, 1.0 + _EPSILON])
        elif num_thresholds > 1:
            self._thresholds = spread_thresholds(num_thresholds)
        else:
            raise ConfigError(f"AUC expects num_thresholds > 1. Received: num_thresholds={num_thresholds}.")
        super().__init__(2 * len(self._thresholds) + 2, name, dtype)
        self.num_thresholds, self.curve, self.summation_method = num_thresholds, curve, summation_method
        self.thresholds = None if thresholds is None else [float(each) for each in thresholds]
        self.from_logits = from_logits

    def measure(self, y_true: Array, y_pred: Array, weight: Array | None, out: Array) -> None:
        true, pred, weights = flat(y_true, y_pred, weight)
        if self.from_logits:
            pred = 0.5 * (1.0 + np.tanh(0.5 * pred))
        measured(self._thresholds, true, pred, weights, out)

    def current(self) -> float:
        true, false, missed, rejected = split(self._state)
        recall = divided(true, true + missed)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._interpolated(true, false, missed)
        if self.curve == "ROC":
            x, y = divided(false, false + rejected), recall
        else:
            x, y = recall, divided(true, true + false)
        before, after = y[:-1], y[1:]
        heights = {
            "interpolation": (before + after) / 2.0,
            "minoring": np.minimum(before, after),
            "majoring": np.maximum(before, after),
        }[self.summation_method]
        return float(np.sum((x[:-1] - x[1:]) * heights))

    def _interpolated(self, true: Array, false: Array, missed: Array) -> float:
        """The area under precision and recall, whose counts grow in proportion between two thresholds."""
        gained = true[:-1] - true[1:]
        decided = true + false
        slope = divided(gained, np.maximum(decided[:-1] - decided[1:], 0))
        intercept = true[1:] - slope * decided[1:]
        both = (decided[:-1] > 0) & (decided[1:] > 0)
        ratio = np.where(both, divided(decided[:-1], np.maximum(decided[1:], 0)), 1.0)
        area = slope * (gained + intercept * np.log(ratio))
        return float(np.sum(divided(area, np.maximum(true[1:] + missed[1:], 0))))


class _AtBound(SumsMetric):
    """The best of one rate where another one keeps a bound, over evenly spread thresholds."""

    direction = "up"

    def __init__(
        self, bound: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any
    ) -> None:
        if not 0 <= bound <= 1:
            raise ConfigError(f"{type(self).__name__} expects a bound in [0, 1]. Received: {bound}.")
        if num_thresholds < 1:
            raise ConfigError(
                f"{type(self).__name__} expects num_thresholds >= 1. Received: {num_thresholds}."
            )
        self._thresholds = np.array([0.5]) if num_thresholds == 1 else spread_thresholds(num_thresholds)
        super().__init__(2 * len(self._thresholds) + 2, name, dtype)
        self._bound = bound
        self.num_thresholds, self.class_id = num_thresholds, class_id

    def measure(self, y_true: Array, y_pred: Array, weight: Array | None, out: Array) -> None:
        true, pred, weights = flat(y_true, y_pred, weight, self.class_id)
        measured(self._thresholds, true, pred, weights, out)

    def _best(self, bounded: Array, wanted: Array) -> float:
        feasible = wanted[bounded >= self._bound]
        return float(feasible.max()) if feasible.size else 0.0

    def _rates(self) -> tuple[Array, Array, Array]:
        """Sensitivity (recall), specificity and precision at each threshold."""
        true, false, missed, rejected = split(self._state)
        return divided(true, true + missed), divided(rejected, rejected + false), divided(true, true + false)


class SensitivityAtSpecificity(_AtBound):
    """The best sensitivity (share of positives found) where specificity is at least `specificity`."""

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)
        self.specificity = specificity

    def current(self) -> float:
        sensitivity, specificity, _ = self._rates()
        return self._best(specificity, sensitivity)


class SpecificityAtSensitivity(_AtBound):
    """The best specificity (share of negatives rejected) where sensitivity is at least `sensitivity`."""

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)
        self.sensitivity = sensitivity

    def current(self) -> float:
        sensitivity, specificity, _ = self._rates()
        return self._best(sensitivity, specificity)


class PrecisionAtRecall(_AtBound):
    """The best precision where recall is at least `recall`."""

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)
        self.recall = recall

    def current(self) -> float:
        recall, _, precision = self._rates()
        return self._best(recall, precision)


class RecallAtPrecision(_AtBound):
    """The best recall where precision is at least `precision`."""

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)
        self.precision = precision

    def current(self) -> float:
        recall, _, precision = self._rates()
        return self._best(precision, recall)
