"""R2Score: the coefficient of determination."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.metrics.confusion import divided
from distrib.nn.metrics.metric import SumsMetric


class R2Score(SumsMetric):
    """1 minus the squared error over the variance of the targets, by output.

    Args:
        class_aggregation: `"uniform_average"`, `"variance_weighted_average"`, or None for one score for each output.
        num_regressors: number of regressors, for the adjusted score; 0 for the plain one.
        name: see `Metric`.
        dtype: see `Metric`.

    Raises:
        ConfigError: an argument outside of these, or another number of outputs than before.
    """

    direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(0, name, dtype)
        if (
            class_aggregation not in (None, "uniform_average", "variance_weighted_average")
            or num_regressors < 0
        ):
            raise ConfigError(
                "R2Score expects class_aggregation None, uniform_average or variance_weighted_average, and "
                f"num_regressors >= 0. Received: {class_aggregation!r}, {num_regressors}."
            )
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors

    def prepare(self, num_classes: int) -> None:
        """Make room for the sums of that many outputs.

        They are those of targets, their squares, squared errors, weights, and elements.
        """
        if self._state.size not in (0, 5 * num_classes):
            raise ConfigError(
                f"R2Score has measured {self._state.size // 5} outputs. Received: {num_classes}."
            )
        if not self._state.size:
            self._state = np.zeros(5 * num_classes)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.prepare(np.shape(y_pred)[-1])
        super().update_state(y_true, y_pred, sample_weight)

    def measure(self, y_true: Array, y_pred: Array, weight: Array | None, out: Array) -> None:
        outputs = y_pred.shape[-1]
        true, pred = (each.reshape(-1, outputs).astype(np.float64) for each in (y_true, y_pred))
        weights = np.ones((len(true), 1)) if weight is None else weight.reshape(-1, 1)
        sums = out.reshape(5, outputs)
        sums[0] = np.sum(weights * true, axis=0)
        sums[1] = np.sum(weights * true**2, axis=0)
        sums[2] = np.sum(weights * (true - pred) ** 2, axis=0)
        sums[3] = np.sum(weights)
        sums[4] = true.size  # Keras counts elements

    def current(self) -> Any:
        total, squares, errors, weights, counts = self._state.reshape(5, -1)
        variance = squares - divided(total * total, weights)
        score: Any = 1 - divided(errors, variance)
        if self.class_aggregation == "uniform_average":
            score = np.mean(score) if score.size else np.zeros(())
        elif self.class_aggregation == "variance_weighted_average":
            score = np.sum(score * variance) / max(float(np.sum(variance)), 1e-300)
        if self.num_regressors:
            count = float(counts[0])
            score = 1 - (1 - score) * (count - 1) / (count - self.num_regressors - 1)
        return float(score) if np.ndim(score) == 0 else score
