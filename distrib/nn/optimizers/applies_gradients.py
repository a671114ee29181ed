"""AppliesGradients: updates of variables in a loop of one's own, with Keras' interface.

What combines the gradients of replicas is above this package: it registers itself.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from distrib.autodiff.tape import GradientTape
from distrib.base.attributes import HasAttributes
from distrib.base.errors import ConfigError
from distrib.nn.variable import Variable


class AppliesGradients(HasAttributes):
    """Gradients are handed to the strategy whose scope is open, which updates the variables on all replicas."""

    apply_in_strategy: ClassVar[Callable[[Any, Sequence[Any], Sequence[Variable], bool], None]]
    """Takes an optimizer, gradients, their variables, and whether the gradients are combined already."""

    _built_for: Sequence[Variable] = ()
    _own_updates: Any = None
    _restored: Any = None

    @property
    @abstractmethod
    def iterations(self) -> Any:
        """Number of updates applied."""

    def apply_gradients(
        self,
        grads_and_vars: Iterable[tuple[Any, Variable]],
        name: str | None = None,
        skip_gradients_aggregation: bool = False,
        experimental_aggregate_gradients: bool = True,
    ) -> Any:
        """One update. Collective: every replica passes the gradients of its part of the batch, which are added.

        So the loss of a replica is divided by the number of examples of the whole batch, as
        `tf.nn.compute_average_loss` does it. In `train_step` of a model the loss is the mean over the examples of the
        part, and gradients are weighted by their number.

        Args:
            grads_and_vars: pairs of a gradient, or None for a variable that the loss does not depend on, and its
                variable; of the same variables each time.
            name: accepted for Keras' sake.
            skip_gradients_aggregation: the gradients are those of all replicas already, the same on each.
            experimental_aggregate_gradients: the opposite, in earlier versions.

        Returns:
            Number of updates so far.

        Raises:
            ConfigError: no gradient at all, or other variables than before.
        """
        pairs = list(grads_and_vars)
        if not pairs:
            raise ConfigError("apply_gradients expects pairs of a gradient and a variable. Received: none.")
        is_combined = skip_gradients_aggregation or not experimental_aggregate_gradients
        type(self).apply_in_strategy(self, [g for g, _ in pairs], [v for _, v in pairs], is_combined)
        return self.iterations

    def apply(self, grads: Iterable[Any], trainable_variables: Iterable[Variable] | None = None) -> Any:
        """One update; see `apply_gradients`.

        Args:
            grads: gradients.
            trainable_variables: their variables; by default those that `build` was given, or of the update before.
        """
        gradients = list(grads)
        variables = list(self._built_for if trainable_variables is None else trainable_variables)
        if len(gradients) != len(variables):
            raise ConfigError(
                f"apply expects a gradient for each of {len(variables)} variables. Received: {len(gradients)}."
            )
        self._built_for = variables
        return self.apply_gradients(zip(gradients, variables, strict=True))

    def minimize(
        self,
        loss: Any,
        var_list: Any,
        tape: GradientTape | None = None,
        grad_loss: Any = None,
        name: str | None = None,
    ) -> Any:
        """One update against the gradient of a loss.

        Args:
            loss: a function without arguments; or a tensor that was computed under `tape`.
            var_list: the variables, or a function that returns them.
            tape: see `loss`.
            grad_loss: gradient of what the loss is a part of; 1 by default.
            name: accepted for Keras' sake.

        Returns:
            Number of updates so far.

        Raises:
            ConfigError: a tensor without a tape.
        """
        if callable(loss):
            tape = GradientTape() if tape is None else tape
            with tape:
                value = loss()
        elif tape is None:
            raise ConfigError(
                "minimize expects a function without arguments, or a tensor and the tape that recorded it."
            )
        else:
            value = loss
        variables = list(var_list() if callable(var_list) else var_list)
        gradients = tape.gradient(value, variables, grad_loss)
        return self.apply_gradients(zip(gradients, variables, strict=True))
