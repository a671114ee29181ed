"""Objective: what a network is trained for. A loss to lower, and metrics to watch.

Where the network ends in a softmax (a sigmoid) and the loss is the cross-entropy of its result, the last
layer is fused: it hands its logits to the loss, which computes activation, value and gradient at once.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from distrib.base.arrays import Array, Columns
from distrib.base.errors import ConfigError
from distrib.nn.batch_sums import BatchSums
from distrib.nn.layers.activated_layer import ActivatedLayer
from distrib.nn.layers.layer import Layer
from distrib.nn.losses import Loss
from distrib.nn.metrics import Metric


class Objective:
    """A loss and metrics.

    Args:
        last_layer: the layer that computes the output, if nothing else reads what it computes.
        loss: the loss as the user gave it.
        metrics: measured without sample weights, as in Keras.
        weighted_metrics: measured with sample weights.
    """

    def __init__(
        self,
        last_layer: Layer | None,
        loss: Loss,
        metrics: Sequence[Metric],
        weighted_metrics: Sequence[Metric],
    ) -> None:
        self.metrics = [*metrics, *weighted_metrics]
        self._num_unweighted = len(metrics)
        names = [metric.name for metric in self.metrics]
        if len({"loss", *names}) != len(names) + 1:
            raise ConfigError(f"Metric names must differ from each other and from 'loss'. Received: {names}.")
        self.fused_layer = _layer_to_fuse(last_layer, loss)
        self.loss = loss if self.fused_layer is None else loss.on_logits()
        self._lay_sums()

    def _lay_sums(self) -> None:
        """Lay out the batch sums: those of each metric behind those of the one before."""
        self.batch_sums = BatchSums(sum(metric.num_sums for metric in self.metrics))
        ends = list(accumulate(metric.num_sums for metric in self.metrics))
        self._slices = [
            self.batch_sums.metric_sums[end - metric.num_sums : end]
            for end, metric in zip(ends, self.metrics, strict=True)
        ]

    @property
    def fused_layers(self) -> Sequence[ActivatedLayer | None]:
        """Of each output, the layer that leaves its activation to the loss."""
        return (self.fused_layer,)

    def twin(self, last_layers: Sequence[Layer | None]) -> Objective:
        """The same loss and metrics with scratch memory and sums of its own, metrics reset.

        Args:
            last_layers: of the network that it is for, one for each output.
        """
        last_layer = last_layers[0]
        twin = copy.copy(self)
        twin.metrics = [metric.twin() for metric in self.metrics]
        twin.loss = self.loss.twin()
        twin._lay_sums()
        if self.fused_layer is not None:
            assert isinstance(last_layer, ActivatedLayer)
            twin.fused_layer = last_layer
        return twin

    def measure_outputs(self, y: Columns, predictions: Sequence[Array], weight: Columns | None) -> None:
        """Put the sums of a batch into the batch sums.

        Args:
            y: prepared targets.
            predictions: of each output, logits where its last layer is fused.
            weight: sample weights, or None.
        """
        assert not isinstance(y, tuple)
        assert not isinstance(weight, tuple)
        prediction = predictions[0]
        values = self.loss.forward(y, prediction)
        if weight is not None and self.loss.is_of_batch:
            raise ConfigError(
                f"Loss '{self.loss.name}' returns one number for the batch. Received: weights of examples. Return a "
                "value for each example, (batch,)."
            )
        y_pred = prediction if self.fused_layer is None else self.loss.activate(prediction)
        self.measure(y, y_pred, values, weight)

    def backward(self, number: int, y: Columns, prediction: Array, weight: Columns | None) -> Array | None:
        """The gradient of the summed loss with respect to an output, after `measure_outputs`.

        Args:
            number: of the output.
            y: prepared targets.
            prediction: as it was measured.
            weight: sample weights, or None.

        Returns:
            `(batch, *output_shape)`, which may be written to; None where no loss depends on the output.
        """
        assert not isinstance(y, tuple)
        assert not isinstance(weight, tuple)
        d_y = self.loss.backward(y, prediction)
        if weight is not None:
            d_y *= weight.reshape(-1, *[1] * (d_y.ndim - 1))
        return d_y

    def measure(self, y: Array, y_pred: Array, values: Array, weight: Array | None) -> None:
        """Put the sums of a batch into the batch sums."""
        batch_sums = self.batch_sums
        batch_sums.count = len(values)
        if weight is None:
            batch_sums.loss = float(np.add.reduce(values, dtype=np.float64))
        else:
            batch_sums.loss = float(np.dot(values, weight))
        for index, metric in enumerate(self.metrics):
            weights = weight if index >= self._num_unweighted else None
            metric.measure(y, y_pred, weights, self._slices[index])


def _layer_to_fuse(last: Layer | None, loss: Loss) -> ActivatedLayer | None:
    """The last layer, if `loss` can start from its logits."""
    if isinstance(last, ActivatedLayer) and not loss.from_logits and loss.fused_activation is not None:
        if type(last.activation) is loss.fused_activation:
            return last
    return None
