"""CompileConfig: the arguments of `compile`, checked."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

from distrib.base.arrays import Array, Columns, Shape, columns
from distrib.base.errors import ConfigError
from distrib.nn import losses, metrics, optimizers
from distrib.nn.joint_objective import AnyObjective, JointObjective
from distrib.nn.layers.layer import Layer
from distrib.nn.network import Network
from distrib.nn.objective import Objective
from distrib.strategies.update.updater import NonFinitePolicy
from distrib.training.arguments.per_output import metrics_for_each, one_for_each


class _Output:
    """Loss and metrics of one output.

    Metrics named `"accuracy"` become a class only when the first targets are seen, as in Keras.
    """

    def __init__(self, loss: Any, unweighted: Sequence[Any], weighted: Sequence[Any]) -> None:
        self.loss = losses.get(loss)
        if self.loss.reduction != "sum_over_batch_size":
            raise ConfigError(
                "compile expects a loss with reduction sum_over_batch_size: it is exact for any number of replicas. "
                f"Received: {type(self.loss).__name__}(reduction={self.loss.reduction!r})."
            )
        self.unweighted, self.weighted = list(unweighted), list(weighted)
        for identifier in (*self.unweighted, *self.weighted):
            metrics.get(identifier, output_shape=(), sparse_targets=False)  # raises for an unknown name

    def objective(self, last_layer: Layer | None, shape: Shape, y: Array) -> Objective:
        """Loss and metrics for targets like `y`, as the user gave them."""
        sparse = y.ndim - 1 < len(shape) or (y.shape[-1:] == (1,) and shape[-1] > 1)
        unweighted = [metrics.get(identifier, shape, sparse) for identifier in self.unweighted]
        weighted = [metrics.get(identifier, shape, sparse) for identifier in self.weighted]
        for metric in (*unweighted, *weighted):
            metric.prepare(shape[-1] if shape else 1)
        # Twins: an instance may be in several models, and replicas may be threads.
        return Objective(last_layer, self.loss.twin(), unweighted, weighted)

    def described(self) -> list[Any]:
        """The metrics, as JSON values."""
        named = [*self.unweighted, "weighted:", *self.weighted]
        return [m if isinstance(m, str) else metrics.get(m).get_config() for m in named]


class CompileConfig:
    """Optimizer, losses and metrics.

    Args:
        optimizer: name or instance.
        loss: name or instance; a list or dict of them for several outputs, None for one that is not trained.
        loss_weights: factors of the losses in their sum, in a list or dict; 1 by default.
        unweighted: metrics measured without sample weights; names or instances, in a list or dict of the outputs.
        weighted: metrics measured with them.
        on_nonfinite: what to do about NaN or Inf.
        names: of the outputs; empty where there is one.
        needs_loss: whether there must be one.

    Raises:
        ConfigError: an unknown name.
    """

    def __init__(
        self,
        optimizer: str | optimizers.Optimizer,
        loss: Any,
        loss_weights: Any,
        unweighted: Any,
        weighted: Any,
        on_nonfinite: NonFinitePolicy,
        names: Sequence[str] = (),
        needs_loss: bool = True,
    ) -> None:
        self.optimizer = optimizers.get(optimizer)
        self.on_nonfinite = on_nonfinite
        self.names = list(names) or [""]
        given = zip(
            one_for_each("loss", loss, self.names, None),
            metrics_for_each("metrics", unweighted, self.names),
            metrics_for_each("weighted_metrics", weighted, self.names),
            strict=True,
        )
        self._outputs = [None if each[0] is None else _Output(*each) for each in given]
        weights = one_for_each("loss_weights", loss_weights, self.names, 1.0)
        if not all(each is None or isinstance(each, Real) for each in weights):
            raise ConfigError(f"compile expects loss_weights as numbers. Received: {weights!r}.")
        self.loss_weights = [1.0 if each is None else float(each) for each in weights]
        if needs_loss and not any(self._outputs):
            raise ConfigError("compile expects a loss. Received: loss=None.")

    @property
    def loss(self) -> losses.Loss | None:
        """The loss of the only output, or of the first that is trained; None for none."""
        return next((each.loss for each in self._outputs if each is not None), None)

    @property
    def losses(self) -> list[losses.Loss | None]:
        """The loss of each output."""
        return [None if each is None else each.loss for each in self._outputs]

    @property
    def named_metrics(self) -> list[Any]:
        """The metrics of the only output, without and with weights, as they were given."""
        return [
            each
            for output in self._outputs
            if output is not None
            for each in (*output.unweighted, *output.weighted)
        ]

    @property
    def num_unweighted(self) -> int:
        """How many of the metrics of the only output are measured without weights."""
        return sum(len(output.unweighted) for output in self._outputs[:1] if output is not None)

    def prepare(self, y: Columns, network: Network) -> Columns:
        """Targets in the form that the losses take; see `Loss.prepare`.

        Args:
            y: as the user gave them.
            network: of the model.
        """
        prepared = tuple(
            array if output is None else output.loss.prepare(array, shape, network.dtype)
            for output, array, shape in zip(self._outputs, columns(y), network.output_shapes, strict=True)
        )
        return prepared if isinstance(y, tuple) else prepared[0]

    def objective(self, network: Network, y: Columns) -> AnyObjective:
        """Losses and metrics for targets like `y`, as the user gave them."""
        parts = [
            None if output is None else output.objective(layer, shape, array)
            for output, layer, shape, array in zip(
                self._outputs, network.output_layers, network.output_shapes, columns(y), strict=True
            )
        ]
        if len(parts) == 1 and parts[0] is not None and self.loss_weights == [1.0]:
            return parts[0]
        return JointObjective(self.names, parts, self.loss_weights)

    def describe(self) -> dict[str, object]:
        """The configuration, as JSON values."""
        found = [None if each is None else each.loss.get_config() for each in self._outputs]
        named = [None if each is None else each.described() for each in self._outputs]
        is_plain = len(found) == 1 and self.loss_weights == [1.0]
        return {
            "optimizer": {**self.optimizer.get_config(), "iterations": self.optimizer.iterations},
            "loss": found[0] if is_plain else found,
            "metrics": named[0] if is_plain else named,
            **({} if is_plain else {"loss_weights": self.loss_weights}),
            "on_nonfinite": self.on_nonfinite,
        }
