"""HasSteps: what `fit` and `evaluate` do with a batch, which a subclass may override.

def train_step(self, data):
    x, y = data
    with GradientTape() as tape:
        y_pred = self(x, training=True)
        loss = self.compute_loss(y=y, y_pred=y_pred)
    self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
    for metric in self.metrics:
        ...
    return {metric.name: metric.result() for metric in self.metrics}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distrib.autodiff.structures import flat
from distrib.base.arrays import Columns, Shape
from distrib.base.errors import ConfigError
from distrib.nn import metrics
from distrib.nn.metrics import Mean, Metric


class HasSteps:
    """The steps of a model."""

    compile_config: Any
    has_own_optimizer = True
    """Whether `compile` was given an optimizer, whose update `fit` makes."""

    _loss_tracker: Mean | None = None
    _compiled_metrics: Sequence[Metric] = ()
    _has_targets = True

    def train_step(self, data: Any) -> Any:
        """Train on this replica's part of a batch. A subclass that says it applies gradients with `self.optimizer`.

        Args:
            data: inputs, if there are no targets; or `(x, y)`, or `(x, y, sample_weight)`.

        Returns:
            Name -> number: results of metrics, which are those of all examples so far on all replicas; other numbers
            are means over the examples.
        """
        raise ConfigError("Model.train_step is meant to be overridden. Use train_on_batch.")

    def test_step(self, data: Any) -> Any:
        """Measure this replica's part of a batch; see `train_step`."""
        raise ConfigError("Model.test_step is meant to be overridden. Use test_on_batch.")

    @property
    def has_own_step(self) -> bool:
        """Whether a subclass says `train_step`."""
        return type(self).train_step is not HasSteps.train_step

    @property
    def has_network(self) -> bool:
        """Whether the model says what its outputs are."""
        return True

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The losses of `compile`, means over the examples; and what the last call has added.

        Args:
            x: not looked at.
            y: targets.
            y_pred: outputs of the model.
            sample_weight: weights of the examples.
            training: not looked at.
        """
        total: Any = 0.0
        configured = self.compile_config
        targets, predictions = self._by_output(y), self._by_output(y_pred)
        for target, prediction, loss, weight in zip(
            targets, predictions, configured.losses, configured.loss_weights, strict=False
        ):
            if loss is not None:
                value = loss(target, prediction, sample_weight)
                total = total + (value if weight == 1.0 else weight * value)
        for each in self.losses:  # type: ignore[attr-defined]
            total = total + each
        if isinstance(total, float):
            raise ConfigError(
                "compute_loss expects a loss of compile, or add_loss in call. There is neither."
            )
        return total

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Add to the metrics of `compile`; returns the results of all.

        Args:
            x: not looked at.
            y: targets.
            y_pred: outputs of the model.
            sample_weight: weights, for `weighted_metrics`.
        """
        for index, metric in enumerate(self._compiled_metrics):
            if sample_weight is not None and index >= self.compile_config.num_unweighted:
                metric.update_state(y, y_pred, sample_weight)
            else:
                metric.update_state(y, y_pred)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """Name -> result of each metric."""
        return {metric.name: metric.result() for metric in self._own_metrics()}

    def see_targets(self, y: Any, output_shapes: Sequence[Shape]) -> None:
        """Make the metrics of `compile`, which follow from the targets; as in Keras, `"accuracy"` is one of several.

        Args:
            y: targets as they were given; a tuple where there are several outputs.
            output_shapes: of each output; empty for a model that does not say its outputs.

        Raises:
            ConfigError: metrics of several outputs: a step has its own, in attributes.
        """
        named = self.compile_config.named_metrics
        if named and len(output_shapes) > 1:
            raise ConfigError(
                "A model with train_step has metrics of compile for one output. Received: metrics, and "
                f"{len(output_shapes)} outputs. Keep metrics in attributes, and update them in train_step."
            )
        shape = output_shapes[0] if output_shapes else ()
        sparse = not isinstance(y, tuple) and np.ndim(y) - 1 < len(shape)
        self._compiled_metrics = [metrics.get(each, shape, sparse) for each in named]
        for metric in self._compiled_metrics:
            metric.prepare(shape[-1] if shape else 1)

    def _by_output(self, values: Any) -> list[Any]:
        """Targets or predictions in the order of the outputs."""
        if isinstance(values, Mapping):
            return [values[name] for name in self.data_structure.outputs or tuple(values)]  # type: ignore[attr-defined]
        return flat(values)

    def _own_metrics(self) -> list[Metric]:
        """The loss, the metrics of `compile`, and those in attributes."""
        if self._loss_tracker is None:
            self._loss_tracker = Mean("loss")
        attributes = [
            each for name, each in vars(self).items() if isinstance(each, Metric) and name[0] != "_"
        ]
        loss = [] if any(each.name == "loss" for each in attributes) else [self._loss_tracker]
        return [*loss, *self._compiled_metrics, *attributes]

    def data_of(self, x: Columns, y: Columns, weight: Columns | None) -> Any:
        """A batch, as the steps take it: inputs, `(x, y)`, or `(x, y, sample_weight)`.

        Args:
            x: tensors of the inputs.
            y: of the targets.
            weight: of the weights, if there are any.
        """
        inputs, targets = self.arranged(x), self._arranged_targets(y)
        if not self._has_targets:
            return inputs
        return (inputs, targets) if weight is None else (inputs, targets, weight)

    def arranged(self, inputs: Any) -> Any:
        """Tensors in a row, in the structure that the model takes."""
        return list(inputs) if isinstance(inputs, tuple) else inputs

    def _arranged_targets(self, targets: Any) -> Any:
        return list(targets) if isinstance(targets, tuple) else targets
