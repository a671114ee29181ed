"""BatchSums: the sums a batch leaves behind, as one float64 vector that strategies add over the replicas.

    [count, non-finite, loss, penalty, request, sums of metric 0, sums of metric 1, ...]

Sums of different replicas are added in rank order, so every replica reads the same bits out of the total.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distrib.base.arrays import Array

_COUNT, _NONFINITE, _LOSS, _PENALTY, _REQUEST, _METRICS = range(6)


class BatchSums:
    """Sums over the examples of a batch.

    Args:
        num_sums: number of elements of the sums of all metrics.
        sums: the vector to look at; a new one of zeros by default.
    """

    __slots__ = ("sums",)

    def __init__(self, num_sums: int, sums: Array | None = None) -> None:
        self.sums: Array = np.zeros(_METRICS + num_sums) if sums is None else sums

    @property
    def count(self) -> float:
        """Number of examples."""
        return float(self.sums[_COUNT])

    @count.setter
    def count(self, count: float) -> None:
        self.sums[_COUNT] = count

    @property
    def nonfinite(self) -> int:
        """1 + the index of the first variable whose gradient holds NaN or Inf; 0 if there is none."""
        return int(self.sums[_NONFINITE])

    @nonfinite.setter
    def nonfinite(self, index_plus_one: int) -> None:
        self.sums[_NONFINITE] = index_plus_one

    @property
    def loss(self) -> float:
        """Sum of weighted per-example losses, without penalties."""
        return float(self.sums[_LOSS])

    @loss.setter
    def loss(self, loss: float) -> None:
        self.sums[_LOSS] = loss

    @property
    def penalty(self) -> float:
        """The regularizers' penalty (of this replica's range, until added up)."""
        return float(self.sums[_PENALTY])

    @penalty.setter
    def penalty(self, penalty: float) -> None:
        self.sums[_PENALTY] = penalty

    @property
    def request(self) -> int:
        """A request to all replicas, such as to save; 0 for none. Requests of several replicas are added."""
        return int(self.sums[_REQUEST])

    @request.setter
    def request(self, request: int) -> None:
        self.sums[_REQUEST] = request

    @property
    def metric_sums(self) -> Array:
        """The sums of all metrics, as a view."""
        return self.sums[_METRICS:]


def combined(parts: Sequence[Array]) -> tuple[Array, float]:
    """The sums of one batch from those of its parts, and the number of its examples.

    The penalty moves into the loss. It is that of the whole model, so every part has brought the same.

    Args:
        parts: each `(num_sums,)`, as in `BatchSums`.
    """
    total: Array = np.sum(parts, axis=0)
    total[_LOSS] += parts[0][_PENALTY] * total[_COUNT]
    total[_PENALTY] = 0.0
    return total, float(total[_COUNT])
