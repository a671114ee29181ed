"""RunningMeans: loss and metrics over the examples so far, from sums that are added up."""

from __future__ import annotations

from collections.abc import Sequence

from distrib.base.arrays import Array
from distrib.nn.batch_sums import BatchSums
from distrib.nn.metrics import Metric
from distrib.training.callbacks.callback import Logs


class RunningMeans:
    """The means of a loss and of metrics.

    Args:
        metrics: in the order of the batch sums; they hold their sums.
    """

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = list(metrics)
        self._total = self._count = 0.0  # of the loss

    @property
    def num_examples(self) -> int:
        """How many examples the means are of."""
        return int(self._count)

    def reset(self) -> None:
        """Begin anew."""
        self._total = self._count = 0.0
        for metric in self.metrics:
            metric.reset_state()

    def add(self, total: BatchSums) -> None:
        """Add the sums over some examples."""
        self._total += total.loss + total.penalty * total.count
        self._count += total.count
        begin, sums = 0, total.metric_sums
        for metric in self.metrics:
            end = begin + metric.num_sums
            metric.add(sums[begin:end])
            begin = end

    def logs(self) -> Logs:
        """Name -> number. The elements of a result that is a vector are numbered: `f1_score_0`, `f1_score_1`."""
        logs: Logs = {}
        for metric in self.metrics:
            value = metric.current()
            if isinstance(value, float):
                logs[metric.name] = value
            else:
                logs |= {f"{metric.name}_{index}": float(each) for index, each in enumerate(value)}
        logs["loss"] = self._total / self._count if self._count else 0.0
        return logs

    def sums(self) -> Array:
        """The sums behind the means, laid out as `BatchSums`."""
        batch_sums = BatchSums(sum(metric.num_sums for metric in self.metrics))
        batch_sums.count, batch_sums.loss = self._count, self._total
        begin = 0
        for metric in self.metrics:
            batch_sums.metric_sums[begin : begin + metric.num_sums] = metric.sums()
            begin += metric.num_sums
        return batch_sums.sums
