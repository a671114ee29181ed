"""`train` of TensorFlow 1: optimizers, whose updates are operations of the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distrib.autodiff.tape import GradientTape
from distrib.base.errors import ConfigError
from distrib.base.missing import refuser
from distrib.nn.optimizers.optimizer import Optimizer as EagerOptimizer
from distrib.nn.optimizers.rules.adagrad import Adagrad
from distrib.nn.optimizers.rules.adam import Adam
from distrib.nn.optimizers.rules.rmsprop import RMSprop
from distrib.nn.optimizers.rules.sgd import SGD
from distrib.strategies.update.step_context import StepContext, in_step
from distrib.tf.compat.v1.graph import Node, evaluate
from distrib.tf.compat.v1.variables import Variable, trainable_variables


class TrainOp(Node):
    """An update against the gradient of a loss.

    Args:
        optimizer: what updates.
        loss: what is lowered.
        var_list: the variables.
        global_step: a variable that counts, if there is one.
    """

    def __init__(
        self,
        optimizer: EagerOptimizer,
        loss: Node,
        var_list: Sequence[Variable],
        global_step: Variable | None,
    ) -> None:
        super().__init__(lambda: None, name="train")
        self._optimizer, self._loss, self._variables = optimizer, loss, list(var_list)
        self._global_step = global_step

    def train(self, feeds: Mapping[Node, Any], rows: int | None) -> None:
        """One update.

        Args:
            feeds: this replica's part of the batch.
            rows: number of its examples, by which its gradient is weighted; None where replicas have the same batch.
        """
        variables = [each.eager for each in self._variables]
        if rows == 0:
            gradients: list[Any] = [np.zeros(each.shape, each.dtype) for each in variables]
        else:
            with GradientTape() as tape:
                loss = evaluate([self._loss], feeds)[0]
            gradients = tape.gradient(loss, variables)
        pairs = list(zip(gradients, variables, strict=True))
        if rows is None:
            self._optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)
        else:
            with in_step(StepContext(rows, lambda *_: False)):
                self._optimizer.apply_gradients(pairs)
        if self._global_step is not None:
            self._global_step.eager.assign_add(np.ones((), self._global_step.dtype))


class Optimizer:
    """Base of the optimizers.

    Args:
        eager: what updates.
    """

    def __init__(self, eager: EagerOptimizer) -> None:
        self._eager = eager

    def minimize(
        self,
        loss: Node,
        global_step: Variable | None = None,
        var_list: Sequence[Variable] | None = None,
        **kwargs: Any,
    ) -> TrainOp:
        """The operation that makes one update.

        Args:
            loss: what is lowered.
            global_step: a variable that counts the updates.
            var_list: the variables; all that are trainable by default.
            kwargs: accepted for TensorFlow's sake.

        Raises:
            ConfigError: there are no variables, or the loss is no node.
        """
        variables = trainable_variables() if var_list is None else list(var_list)
        if not isinstance(loss, Node) or not variables:
            raise ConfigError("minimize expects a node of the graph, and variables to update.")
        return TrainOp(self._eager, loss, variables, global_step)


class GradientDescentOptimizer(Optimizer):
    """See `optimizers.SGD`."""

    def __init__(
        self, learning_rate: float, use_locking: bool = False, name: str = "GradientDescent"
    ) -> None:
        super().__init__(SGD(learning_rate))


class MomentumOptimizer(Optimizer):
    """See `optimizers.SGD`, with momentum."""

    def __init__(
        self,
        learning_rate: float,
        momentum: float,
        use_locking: bool = False,
        name: str = "Momentum",
        use_nesterov: bool = False,
    ) -> None:
        super().__init__(SGD(learning_rate, momentum=momentum, nesterov=use_nesterov))


class AdamOptimizer(Optimizer):
    """See `optimizers.Adam`."""

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        use_locking: bool = False,
        name: str = "Adam",
    ) -> None:
        super().__init__(Adam(learning_rate, beta1, beta2, epsilon))


class AdagradOptimizer(Optimizer):
    """See `optimizers.Adagrad`."""

    def __init__(
        self,
        learning_rate: float,
        initial_accumulator_value: float = 0.1,
        use_locking: bool = False,
        name: str = "Adagrad",
    ) -> None:
        super().__init__(Adagrad(learning_rate, initial_accumulator_value))


class RMSPropOptimizer(Optimizer):
    """See `optimizers.RMSprop`."""

    def __init__(
        self,
        learning_rate: float,
        decay: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-10,
        use_locking: bool = False,
        centered: bool = False,
        name: str = "RMSProp",
    ) -> None:
        super().__init__(RMSprop(learning_rate, decay, momentum, epsilon, centered))


def gradients(ys: Any, xs: Any, **kwargs: Any) -> list[Node]:
    """Nodes of the gradients of a loss.

    Args:
        ys: the loss.
        xs: variables, or one.
        kwargs: accepted for TensorFlow's sake.
    """
    wanted = list(xs) if isinstance(xs, list | tuple) else [xs]
    return [_Gradient(ys, each) for each in wanted]


class _Gradient(Node):
    """The gradient of a loss with respect to a variable."""

    def __init__(self, loss: Node, variable: Variable) -> None:
        super().__init__(lambda: None, name="gradient")
        self._loss, self._variable = loss, variable

    def nodes(self) -> Any:
        return iter(_placeholders(self._loss))

    def compute(self, values: Mapping[Node, Any]) -> Any:
        feeds = {node: values[node] for node in _placeholders(self._loss)}
        with GradientTape() as tape:
            loss = evaluate([self._loss], feeds)[0]
        return tape.gradient(loss, self._variable.eager, unconnected_gradients="zero")


def _placeholders(node: Node) -> list[Node]:
    from distrib.tf.compat.v1.graph import Placeholder

    seen: dict[Node, None] = {}
    stack = [node]
    while stack:
        each = stack.pop()
        if each not in seen:
            seen[each] = None
            stack += list(each.nodes())
    return [each for each in seen if isinstance(each, Placeholder)]


__all__ = [
    "AdagradOptimizer",
    "AdamOptimizer",
    "GradientDescentOptimizer",
    "MomentumOptimizer",
    "Optimizer",
    "RMSPropOptimizer",
]

__getattr__ = refuser(
    __name__,
    {
        "Saver": "use a model of today's form, and save_weights; or numpy.savez of sess.run(variables).",
        "MonitoredTrainingSession": "use Session in the scope of a strategy.",
        "Server": "use the launcher: distrib launch.",
        "SyncReplicasOptimizer": "use Session in the scope of MirroredStrategy.",
        "replica_device_setter": "use ParameterServerStrategy with a model of today's form.",
    },
    __all__,
)
