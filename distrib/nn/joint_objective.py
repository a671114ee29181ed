"""JointObjective: the losses of several outputs, weighted and added, and their metrics.

Each output has an `Objective` of its own, or none. The sums of all are put into one vector: the weighted sum of the
losses, then the loss of each output, then the metrics of each.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from distrib.base.arrays import Array, Columns, columns
from distrib.nn.batch_sums import BatchSums
from distrib.nn.layers.activated_layer import ActivatedLayer
from distrib.nn.layers.layer import Layer
from distrib.nn.metrics import Mean, Metric
from distrib.nn.objective import Objective


class JointObjective:
    """What a network with several outputs is trained for.

    Args:
        names: of the outputs.
        parts: loss and metrics of each output; None for one that is not trained.
        weights: of the losses in their sum.

    Attributes:
        metrics: a mean loss for each trained output, named `<output>_loss`, then all metrics, as `<output>_<metric>`;
            where there is one output, its metrics by their own names.
        batch_sums: the sums of the last batch.
    """

    def __init__(
        self, names: Sequence[str], parts: Sequence[Objective | None], weights: Sequence[float]
    ) -> None:
        self._names, self._parts, self._weights = list(names), list(parts), list(weights)
        trained = [(name, part) for name, part in zip(names, parts, strict=True) if part is not None]
        self._shows_losses = len(parts) > 1
        self.metrics: list[Metric] = [Mean(f"{name}_loss") for name, _ in trained if self._shows_losses]
        for name, part in trained:
            for metric in part.metrics:
                renamed = metric.twin()
                renamed.name = f"{name}_{metric.name}" if self._shows_losses else metric.name
                self.metrics.append(renamed)
        self.batch_sums = BatchSums(sum(metric.num_sums for metric in self.metrics))

    @property
    def fused_layers(self) -> Sequence[ActivatedLayer | None]:
        """Of each output, the layer that leaves its activation to the loss."""
        return [None if part is None else part.fused_layer for part in self._parts]

    def twin(self, last_layers: Sequence[Layer | None]) -> JointObjective:
        """The same with scratch memory and sums of its own; see `Objective.twin`."""
        twin = copy.copy(self)
        pairs = zip(self._parts, last_layers, strict=True)
        twin._parts = [None if part is None else part.twin([layer]) for part, layer in pairs]
        twin.metrics = [metric.twin() for metric in self.metrics]
        twin.batch_sums = BatchSums(sum(metric.num_sums for metric in self.metrics))
        return twin

    def measure_outputs(self, y: Columns, predictions: Sequence[Array], weight: Columns | None) -> None:
        """Put the sums of a batch into the batch sums; see `Objective.measure_outputs`."""
        total = self.batch_sums
        total.loss, total.count = 0.0, len(predictions[0])
        losses, tails = [], []
        for number, part in enumerate(self._parts):
            if part is None:
                continue
            part.measure_outputs(columns(y)[number], [predictions[number]], _of(weight, number))
            sums = part.batch_sums
            total.loss += self._weights[number] * sums.loss
            if self._shows_losses:
                losses += [sums.loss, sums.count]
            tails.append(sums.metric_sums)
        total.metric_sums[: len(losses)] = losses
        np.concatenate([np.empty(0), *tails], out=total.metric_sums[len(losses) :])

    def backward(self, number: int, y: Columns, prediction: Array, weight: Columns | None) -> Array | None:
        """The gradient of the weighted sum with respect to an output; see `Objective.backward`."""
        part = self._parts[number]
        if part is None:
            return None
        d_y = part.backward(0, columns(y)[number], prediction, _of(weight, number))
        if d_y is not None and self._weights[number] != 1.0:
            d_y *= self._weights[number]
        return d_y


AnyObjective: TypeAlias = Objective | JointObjective
"""What a network is trained for, whatever its number of outputs."""


def _of(weight: Columns | None, number: int) -> Array | None:
    """The weights for an output: its own, or those for all."""
    return weight[number] if isinstance(weight, tuple) else weight
