"""Metric: the base class of metrics. A metric is computed from sums over examples.

Sums can be added in any order and on any number of replicas, which is what makes metrics exact under data
parallelism: a replica measures the sums of its examples, the strategy adds them, and only then the result is
computed. A mean is a sum of values over a sum of weights; the area under a curve comes from counts by threshold.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from distrib.autodiff.tensor import as_tensor
from distrib.base.arguments import HasArguments
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.custom_objects import get_registered_name
from distrib.nn.layers.shapes import snake_case
from distrib.nn.variable import Variable
from distrib.nn.workspace import Workspace


class Metric(HasArguments):
    """A metric, in the way of Keras.

    A subclass of one's own makes variables with `add_variable`, adds to them in `update_state`, and computes `result`
    from them. Its variables must be sums over examples, which start at 0: replicas and parameter servers add them.

    Args:
        dtype: accepted for Keras' sake: sums are float64.
        name: key in logs and history; the class name in snake case by default.

    Attributes:
        direction: whether more (`"up"`) or less (`"down"`) is better; None if that is not defined.
    """

    direction: Literal["up", "down"] | None = None

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self._variables: list[Variable] = []
        self._scratch = Workspace()

    def add_variable(
        self,
        shape: Any = (),
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: Any = None,
        name: str | None = None,
    ) -> Variable:
        """A new variable for sums over examples.

        Args:
            shape: its shape.
            initializer: `"zeros"`: sums of replicas could not be added otherwise.
            dtype: accepted for Keras' sake: it is float64.
            aggregation: accepted for Keras' sake: replicas are added.
            name: its name.

        Raises:
            ConfigError: another initializer.
        """
        if initializer not in ("zeros", "zero") and type(initializer).__name__ != "Zeros":
            raise ConfigError(f"A metric's variables start at 0. Received: initializer={initializer!r}.")
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        variable = Variable(np.zeros(shape), trainable=False, name=name or f"{self.name}_sum")
        self._variables.append(variable)
        return variable

    def add_weight(
        self, shape: Any = (), initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> Variable:
        """See `add_variable`."""
        if isinstance(shape, str):  # Keras 2 had the name first
            shape, name = (), shape
        return self.add_variable(shape, initializer, dtype, None, name)

    @property
    def variables(self) -> list[Variable]:
        """The variables that hold the sums."""
        return list(self._variables)

    @abstractmethod
    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Add a batch to the sums: `update_state(y_true, y_pred, sample_weight=None)`."""

    @abstractmethod
    def result(self) -> Any:
        """The metric of everything so far."""

    def reset_state(self) -> None:
        """Forget everything measured so far."""
        for each in self._variables:
            each.value[...] = 0

    def reset_states(self) -> None:
        """See `reset_state`."""
        self.reset_state()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch to the sums, and return the result so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    # --- how a model uses it ------------------------------------------------------------------------------------

    def prepare(self, num_classes: int) -> None:
        """Make room for the sums, where their number follows from that of the model's outputs."""

    @property
    def num_sums(self) -> int:
        """Number of elements of its sums."""
        return sum(each.size for each in self._variables)

    def measure(self, y_true: Array, y_pred: Array, weight: Array | None, out: Array) -> None:
        """Write the sums over a batch, and leave the state as it is.

        Args:
            y_true: targets, as the loss prepared them.
            y_pred: `(batch, *output_shape)`.
            weight: `(batch,)` sample weights, or None.
            out: `(num_sums,)`.
        """
        kept = [each.numpy() for each in self._variables]
        self.reset_state()
        if weight is None:
            self.update_state(y_true, y_pred)
        else:
            self.update_state(y_true, y_pred, sample_weight=weight)
        out[:] = self.sums()
        for variable, value in zip(self._variables, kept, strict=True):
            variable.value[...] = value

    def add(self, sums: Array) -> None:
        """Add sums, `(num_sums,)`, to the state."""
        begin = 0
        for each in self._variables:
            each.value[...] += sums[begin : begin + each.size].reshape(each.shape)
            begin += each.size

    def sums(self) -> Array:
        """The state, `(num_sums,)`."""
        return np.concatenate([np.empty(0), *(each.value.reshape(-1) for each in self._variables)])

    def current(self) -> Any:
        """The result as a float, or as a vector if it is not one number; logs have an entry for each element."""
        result = np.asarray(self.result())
        return float(result) if result.ndim == 0 else result

    def twin(self) -> Self:
        """The same metric with a state and scratch memory of its own, reset."""
        twin = copy.deepcopy(self)
        twin.reset_state()
        return twin

    def get_config(self) -> dict[str, Any]:
        """The arguments of the metric, as JSON values."""
        fields = {
            key: value
            for key, value in vars(self).items()
            if key[0] != "_" and not isinstance(value, Variable)
        }
        return {"class": get_registered_name(type(self)), **fields}


class SumsMetric(Metric):
    """A built-in metric, whose state is one vector of sums.

    Args:
        num_sums: length of the vector.
        name: see `Metric`.
        dtype: see `Metric`.
    """

    def __init__(self, num_sums: int, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self._state = np.zeros(num_sums)

    @property
    def variables(self) -> list[Variable]:
        return [Variable(self._state, trainable=False, name="sums")]

    @property
    def num_sums(self) -> int:
        return self._state.size

    @abstractmethod
    def measure(self, y_true: Array, y_pred: Array, weight: Array | None, out: Array) -> None:
        """See `Metric.measure`."""

    @abstractmethod
    def current(self) -> Any:
        """See `Metric.current`."""

    def update_state(
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Add a batch to the sums.

        Args:
            y_true: targets, `(batch, ...)`.
            y_pred: predictions, `(batch, ...)`.
            sample_weight: `(batch,)`; 1 by default.
        """
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        sums = np.zeros(self.num_sums)
        self.measure(np.asarray(y_true), np.asarray(y_pred), weight, sums)
        self.add(sums)

    def result(self) -> Any:
        return as_tensor(self.current())

    def add(self, sums: Array) -> None:
        self._state += sums

    def sums(self) -> Array:
        return self._state

    def reset_state(self) -> None:
        self._state.fill(0)

    def twin(self) -> Self:
        twin = copy.copy(self)
        twin._scratch, twin._state = Workspace(), np.zeros_like(self._state)
        return twin
