"""Updates in loops of one's own: what `optimizer.apply_gradients` does under the strategy whose scope is open.

The variables of an optimizer lie in one flat vector, and go through the updater that `fit` uses: one reduce-scatter
of gradients, the update of the own range, one all-gather of values. Gradients are added over the replicas, as in
tf.distribute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, StorageError
from distrib.base.logs import LOGGER
from distrib.nn.batch_sums import BatchSums
from distrib.nn.losses.loss import Loss
from distrib.nn.network import Network
from distrib.nn.optimizers.applies_gradients import AppliesGradients
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.variable import Variable
from distrib.strategies.alone import check_not_alone
from distrib.strategies.default import get_strategy
from distrib.strategies.strategy import Strategy
from distrib.strategies.update.coordination import Saved
from distrib.strategies.update.step_context import current_step
from distrib.strategies.update.training import Training
from distrib.strategies.update.variable_group import VariableGroup, named_group, same_variables


class OwnUpdates(NamedTuple):
    """The updates of one optimizer.

    Attributes:
        strategy: under which they are made.
        variables: that are updated.
        group: the same, in a flat vector.
        training: the strategy's part.
    """

    strategy: Strategy
    variables: tuple[Variable, ...]
    group: VariableGroup
    training: Training


def apply(
    optimizer: Optimizer, gradients: Sequence[Any], variables: Sequence[Variable], is_combined: bool
) -> None:
    """One update. Collective; see `AppliesGradients.apply_gradients`.

    Args:
        optimizer: what updates.
        gradients: None for a variable that the loss does not depend on.
        variables: theirs.
        is_combined: whether the gradients are those of all replicas already.
    """
    for each in variables:
        if not isinstance(each, Variable):
            raise ConfigError(f"apply_gradients expects variables. Received: {type(each).__name__}.")
    missing = [v.name for g, v in zip(gradients, variables, strict=True) if g is None]
    if len(missing) == len(variables):
        raise ConfigError(
            f"No gradients for any variable: {', '.join(missing[:10])}. The loss does not depend on them: was it "
            "computed under the tape, with functions that it records?"
        )
    step = current_step()
    if step is not None and step.take(optimizer, gradients, variables):
        return
    updates = _updates_of(optimizer, variables, missing)
    group, updater = updates.group, updates.training.updater
    if not updates.strategy.replicas_meet and (step is not None or is_combined):
        raise ConfigError(
            "Under ParameterServerStrategy gradients are combined on the parameter servers, and a train_step updates "
            f"with self.optimizer. Received: {'another one' if step else 'skip_gradients_aggregation=True'}."
        )
    group.buffer.gather()
    updater.begin_own_step()
    updater.pull()
    weight = 1.0 if step is None else float(step.rows)
    for gradient, variable in zip(gradients, variables, strict=True):
        if gradient is None or not weight:
            variable.grad[...] = 0
        elif weight == 1.0:
            variable.grad[...] = np.asarray(gradient)
        else:
            np.multiply(np.asarray(gradient), weight, out=variable.grad, casting="same_kind")
    sums = BatchSums(0)
    is_first = updates.strategy.replica_id == 0
    sums.count = weight if step is not None or is_combined else float(is_first)
    updater.push(sums)
    for variable in variables:
        variable.updated()


def _updates_of(optimizer: Optimizer, variables: Sequence[Variable], missing: Sequence[str]) -> OwnUpdates:
    strategy = get_strategy()
    before: OwnUpdates | None = optimizer._own_updates
    if (
        before is not None
        and before.strategy is strategy
        and same_variables(before.variables, variables)
        and strategy.goes_on_with(before.training)
    ):
        return before
    check_not_alone(strategy, f"Variable '{variables[0].name}'")
    if missing:
        LOGGER.warning(
            "There are no gradients for %s: the loss does not depend on them.", ", ".join(missing[:10])
        )
    group = named_group(variables)
    described = [[entry.name, list(entry.shape)] for entry in group.buffer.layout]
    description = {"call": "apply_gradients", "variables": described, "optimizer": optimizer.get_config()}
    strategy.agree(description)
    training = strategy.training(cast(Network, group), optimizer, "allow", description)
    _restore(optimizer, group, training)
    updates = OwnUpdates(strategy, tuple(variables), group, training)
    optimizer._own_updates = updates
    return updates


def state_of(optimizer: Optimizer) -> dict[str, Array]:
    """What an optimizer knows of each variable, by slot and name; empty before its first update. Collective.

    Raises:
        ConfigError: `fit` has used it: then it is saved with its model.
    """
    updates: OwnUpdates | None = optimizer._own_updates
    if updates is None:
        waiting = optimizer._restored
        if waiting is None and optimizer.iterations:
            raise ConfigError(
                f"{type(optimizer).__name__} was used by fit. Pass its model and it alone to Checkpoint, or use "
                "model.save."
            )
        return {} if waiting is None else dict(waiting[0] or {})
    state = updates.training.coordination.state()
    if state is None:  # a replica that has no part in it
        return {}
    return {
        f"{slot}/{entry.name}": vector[entry.range.slice].reshape(entry.shape)
        for slot, vector in state.slots.items()
        for entry in updates.group.buffer.layout
    }


def restore_later(optimizer: Optimizer, arrays: Mapping[str, Array] | None, step: int, rate: float) -> None:
    """Let an optimizer go on from a state at its next update.

    Args:
        optimizer: the optimizer.
        arrays: as `state_of` has returned them; None where only the chief has them.
        step: updates so far.
        rate: its learning rate.
    """
    optimizer._restored = arrays, step, rate
    optimizer._own_updates = None
    optimizer.iterations = step
    optimizer.follow(rate)


def _restore(optimizer: Optimizer, group: VariableGroup, training: Training) -> None:
    """Give an optimizer the state that waits for it. Collective."""
    waiting = optimizer._restored
    if waiting is None:
        return
    optimizer._restored = None
    arrays, step, rate = waiting
    if not step:
        return
    if arrays is None:
        training.coordination.restore(None)
        return
    slots = {}
    for slot in optimizer.state_names:
        slots[slot] = np.empty(group.buffer.size, group.dtype)
        for entry in group.buffer.layout:
            found = arrays.get(f"{slot}/{entry.name}")
            if found is None or found.shape != entry.shape:
                raise StorageError(f"The checkpoint has no {slot} of {entry.name} with shape {entry.shape}.")
            slots[slot][entry.range.slice] = found.reshape(-1)
    training.coordination.restore(Saved(slots, step, rate, "restored"))


def _check_mean(loss: Loss) -> None:
    """Raise `ConfigError` where the mean over the examples of one replica would be added over all."""
    replicas = get_strategy().num_replicas_in_sync
    if replicas > 1 and current_step() is None:
        raise ConfigError(
            f"{type(loss).__name__} with reduction={loss.reduction!r} divides by the number of examples of this "
            f"replica, and the gradients of {replicas} replicas are added. Use reduction='none' and "
            "tf.nn.compute_average_loss(..., global_batch_size=...), or reduction='sum' and divide by the size of "
            "the global batch."
        )


Loss.check_mean = staticmethod(_check_mean)


AppliesGradients.apply_in_strategy = staticmethod(apply)
