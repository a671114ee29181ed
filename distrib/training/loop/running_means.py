"""RunningMeans: loss and metrics over the examples so far, from sums that are added up."""

from __future__ import annotations

from collections.abc import Sequence

from distrib.base.arrays import Array
from distrib.nn.batch_sums import BatchSums
from distrib.nn.metrics import Mean, Metric
from distrib.training.callbacks.callback import Logs


class RunningMeans:
    """The means of a loss and of metrics.

    Args:
        metrics: in the order of the batch sums; they hold their sums.
    """

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = list(metrics)
        self._loss = Mean("loss")

    @property
    def num_examples(self) -> int:
        """How many examples the means are of."""
        return int(self._loss.count)

    def reset(self) -> None:
        """Begin anew."""
        self._loss.reset_state()
        for metric in self.metrics:
            metric.reset_state()

    def add(self, total: BatchSums) -> None:
        """Add the sums over some examples."""
        self._loss.add(total.loss + total.penalty * total.count, total.count)
        for index, metric in enumerate(self.metrics):
            metric.add(*total.metric(index))

    def logs(self) -> Logs:
        """Name -> mean."""
        logs = {metric.name: metric.result() for metric in self.metrics}
        logs["loss"] = self._loss.result()
        return logs

    def sums(self) -> Array:
        """The sums behind the means, laid out as `BatchSums`."""
        batch_sums = BatchSums(len(self.metrics))
        batch_sums.count, batch_sums.loss = self._loss.count, self._loss.total
        for index, metric in enumerate(self.metrics):
            batch_sums.set_metric(index, metric.total, metric.count)
        return batch_sums.sums
