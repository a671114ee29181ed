"""F scores: harmonic means of precision and recall."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.metrics.confusion import divided
from distrib.nn.metrics.metric import SumsMetric


class FBetaScore(SumsMetric):
    """`(1 + beta^2) precision recall / (beta^2 precision + recall)` of each class, of one-hot targets.

    Args:
        average: None for a score for each class; `"micro"`, of the counts of all classes together; `"macro"`, the
            mean of the classes; or `"weighted"`, their mean weighted by the number of targets.
        beta: weight of recall.
        threshold: a class is chosen where the prediction is above it; by default where it is the largest.
        name: see `Metric`.
        dtype: see `Metric`.

    Raises:
        ConfigError: an argument outside of these, or another number of classes than before.
    """

    direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(0, name, dtype)
        if average not in (None, "micro", "macro", "weighted"):
            raise ConfigError(
                f"{type(self).__name__} expects average None, micro, macro or weighted. Received: {average!r}."
            )
        if beta <= 0 or (threshold is not None and not 0 < threshold <= 1):
            raise ConfigError(
                f"{type(self).__name__} expects beta > 0 and a threshold in (0, 1]. "
                f"Received: beta={beta}, threshold={threshold}."
            )
        self.average, self.beta, self.threshold = average, beta, threshold

    def prepare(self, num_classes: int) -> None:
        """Make room for the sums of that many classes: true and false positives, misses, and targets of each."""
        if self._state.size not in (0, 4 * num_classes):
            raise ConfigError(
                f"{type(self).__name__} has counted {self._state.size // 4} classes. Received: {num_classes}."
            )
        if not self._state.size:
            self._state = np.zeros(4 * num_classes)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.prepare(np.shape(y_pred)[-1])
        super().update_state(y_true, y_pred, sample_weight)

    def measure(self, y_true: Array, y_pred: Array, weight: Array | None, out: Array) -> None:
        classes = y_pred.shape[-1]
        true = y_true.reshape(-1, classes).astype(np.float64)
        pred = y_pred.reshape(-1, classes)
        if self.threshold is None:
            chosen = (pred == pred.max(axis=-1, keepdims=True)) & (np.abs(pred) > 1e-9)
        else:
            chosen = pred > self.threshold
        weights = (
            np.ones((len(true), 1))
            if weight is None
            else np.repeat(weight, len(true) // max(len(weight), 1))[:, None]
        )
        sums = out.reshape(4, classes)
        sums[0] = np.sum(weights * chosen * true, axis=0)
        sums[1] = np.sum(weights * chosen * (1 - true), axis=0)
        sums[2] = np.sum(weights * ~chosen * true, axis=0)
        sums[3] = np.sum(weights * true, axis=0)

    def current(self) -> Any:
        true: Any
        false: Any
        missed: Any
        true, false, missed, targets = self._state.reshape(4, -1)
        if self.average == "micro":
            true, false, missed = (np.sum(each, keepdims=True) for each in (true, false, missed))
        precision, recall = divided(true, true + false), divided(true, true + missed)
        square = self.beta**2
        score = divided((1 + square) * precision * recall, square * precision + recall)
        if self.average == "weighted":
            return float(np.sum(score * divided(targets, np.full_like(targets, targets.sum()))))
        return score if self.average is None else float(np.mean(score)) if score.size else 0.0


class F1Score(FBetaScore):
    """`FBetaScore` with beta 1."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)
