"""Optimizer: an elementwise update of any range of the flat vector.

Adam over the whole vector equals Adam over its pieces bit for bit, so one class serves a single process, the
owner of a range in a ring, and a parameter server. That needs two rules for every subclass: element i of the
update depends on element i of the vectors only, and only + - * / and square roots are used (they are exact in
IEEE 754, so hosts with other BLAS or SIMD compute the same bits).
Optimizers that need whole tensors say so (`updates_tensors`).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from distrib.base.arrays import Array, aligned_vector
from distrib.base.errors import ConfigError
from distrib.base.ranges import Range
from distrib.nn.custom_objects import get_registered_name
from distrib.nn.jit import Loop
from distrib.nn.optimizers.applies_gradients import AppliesGradients
from distrib.nn.optimizers.checks import check_clips, check_numbers
from distrib.nn.optimizers.range_update import RangeUpdate
from distrib.nn.optimizers.step_size import AssignableFloat, AssignableInt, LearningRate, StepSize
from distrib.nn.optimizers.tensor_part import TensorPart
from distrib.nn.optimizers.trained_variables import TrainedVariables
from distrib.nn.variable import Variable

AVERAGE = "average"
"""The slot of the moving average of the values."""


class Optimizer(AppliesGradients):
    """Base of all optimizers.

    Args:
        learning_rate: positive step size, which may be changed between steps; or a schedule, see `nn/schedules`.
        name: name of the optimizer.
        weight_decay: share of the values, times the learning rate, that is subtracted before each update, of all
            variables that are trained (Loshchilov and Hutter, 2019); None for none.
        clipnorm: scale the gradient of each variable down so that its norm is at most this.
        clipvalue: clip every element of the gradient to `[-clipvalue, clipvalue]`.
        global_clipnorm: scale the whole gradient down so that its norm is at most this.
        use_ema: average the values over time, as `average = ema_momentum * average + (1 - ema_momentum) * values`
            after each update. At the end of `fit` the averages take the place of the values.
        ema_momentum: weight of the average, in [0, 1].
        ema_overwrite_frequency: number of updates after which the averages take the place of the values, each time;
            None for the end of `fit` only.
        loss_scale_factor: Keras multiplies the loss with it and divides the gradients by it, which is for numbers of
            less precision than there are here: kept, without an effect.
        gradient_accumulation_steps: batches whose gradients become one update; the replicas talk once for all of
            them. What is left at the end of an epoch is an update too.

    Raises:
        ConfigError: an invalid number, or several ways to clip.

    Attributes:
        slots: state vectors over the range this process owns, by name.
    """

    updates_tensors: ClassVar[bool] = False
    """Whether `update` takes whole tensors, each by itself, and not pieces of any."""

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Names of the slots that `update` takes, in their order."""
        return ()

    def __init__(
        self,
        learning_rate: LearningRate,
        name: str,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
    ) -> None:
        kind = type(self).__name__
        check_clips(kind, clipnorm=clipnorm, clipvalue=clipvalue, global_clipnorm=global_clipnorm)
        check_numbers(kind, weight_decay, gradient_accumulation_steps, ema_momentum, ema_overwrite_frequency)
        self._iterations = 0
        self._step_size = StepSize(kind)
        self._step_size.set(learning_rate)
        self.name, self.weight_decay = name, weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.slots: dict[str, Array] = {}
        self._elements = ""
        self._era = 0
        self._variables = TrainedVariables(kind)
        self._update: RangeUpdate | None = None

    @property
    def learning_rate(self) -> AssignableFloat:
        """The step size of the next update, a finite number >= 0.

        May be set between steps, to a number or a schedule; also with its `assign`. Where a schedule gives it,
        another number is a `ConfigError`, as in Keras.
        """
        return self._step_size.at(self._iterations)

    @learning_rate.setter
    def learning_rate(self, rate: LearningRate) -> None:
        self._step_size.set(rate)

    @property
    def iterations(self) -> AssignableInt:
        """Number of updates applied. May be set between steps; also with its `assign`."""
        count = AssignableInt(self._iterations)
        count.assign = lambda number: setattr(self, "iterations", number)
        return count

    @iterations.setter
    def iterations(self, number: int) -> None:
        self._iterations = int(number)

    @property
    def has_schedule(self) -> bool:
        """Whether a schedule gives the learning rate."""
        return self._step_size.schedule is not None

    def follow(self, rate: float) -> None:
        """Take the chief's learning rate, or that of a checkpoint; a schedule stays."""
        if not self.has_schedule:
            self.learning_rate = rate

    @property
    def compiled_loop(self) -> Loop | None:
        """The loop that updates a range, as machine code; None before `build` and without numba."""
        return None if self._update is None else self._update.loop

    @property
    def whole_tensors(self) -> bool:
        """Whether a tensor must not be cut between owners, for a norm or a mean of it is needed."""
        return self.updates_tensors or self.clipnorm is not None

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of all slots: those that `update` takes, and the moving average."""
        return (*self.slot_names, AVERAGE) if self.use_ema else self.slot_names

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Exclude variables from `weight_decay`. To be called before training.

        Args:
            var_list: variables.
            var_names: texts; excluded is what has one in the last part of its name, such as `"bias"`.

        Raises:
            ConfigError: it has trained already.
        """
        if self._iterations:
            raise ConfigError("exclude_from_weight_decay is to be called before training.")
        self._variables.exclude(var_list, var_names)

    def decays(self, variable: Variable) -> bool:
        """Whether `weight_decay` is applied to a variable."""
        return self._variables.decays(variable)

    def claim(self, variables: Iterable[Variable]) -> None:
        """Train these variables from now on; the slots of others are given up.

        Raises:
            ConfigError: it has trained some of them together with others, so that state would be lost.
        """
        if not self._variables.claim(variables, has_state=self._iterations > 0):
            self.slots = {}
            self._era += 1

    @property
    def era(self) -> int:
        """How often the variables that it trains have become others."""
        return self._era

    def build(
        self,
        num_elements: Any,
        dtype: np.dtype[Any] | None = None,
        elements: str = "",
        tensors: Sequence[TensorPart] = (),
    ) -> None:
        """Make slots, or keep those that there are if they are for the same elements.

        Args:
            num_elements: how many are updated by this process. Or, as in Keras, the variables for `apply`; then there
                is no more to say.
            dtype: dtype of the elements.
            elements: any text that is different for other elements.
            tensors: that lie there, in order; by default one without axes to speak of.
        """
        if dtype is None:
            self._built_for = list(num_elements)
            return
        for name in self.state_names:
            slot = self.slots.get(name)
            if slot is None or slot.size != num_elements or slot.dtype != dtype or elements != self._elements:
                self.slots[name] = aligned_vector(num_elements, dtype)
                self.slots[name][...] = self.initial_slot(name)
        self._elements = elements
        self._update = RangeUpdate(self, num_elements, dtype, tensors)

    def initial_slot(self, name: str) -> float:
        """The value of all elements of a slot before the first update."""
        return 0.0

    def forget(self) -> None:
        """Begin anew: no updates so far, and slots as before the first."""
        self.iterations, self.slots = 0, {}
        self._variables.forget()

    def apply_range(self, values: Array, grads: Array, scale: float = 1.0) -> None:
        """One update, in place.

        Args:
            values: `(num_elements,)`, the owned range of the values.
            grads: `(num_elements,)`, the same range of the summed gradient; may be overwritten.
            scale: what turns the sum into the gradient, usually 1 / number of examples.
        """
        self.apply_parts([(values, grads)], scale)

    def apply_parts(self, parts: Sequence[tuple[Array, Array]], scale: float = 1.0) -> None:
        """`apply_range` where the owned elements lie in several places: one update of all parts.

        Args:
            parts: values and gradients of each, in the same order at every update; `num_elements` together.
            scale: see `apply_range`.
        """
        assert self._update is not None, "build comes first"
        step, begin = self._iterations + 1, 0
        for values, grads in parts:
            own = slice(begin, begin + values.size)
            slots = [self.slots[name][own] for name in self.state_names]
            self._update.apply(Range(begin, own.stop), values, grads, slots, step, scale)
            begin = own.stop
        self._iterations = step  # a schedule has seen the updates before this one

    def finalize(self, parts: Sequence[Array]) -> None:
        """Overwrite the values with their moving averages, where `use_ema` asks for it.

        Args:
            parts: values, as in `apply_parts`.
        """
        if not self.use_ema or not self._iterations:
            return
        begin = 0
        for values in parts:
            values[...] = self.slots[AVERAGE][begin : begin + values.size]
            begin += values.size

    def clipping(self, square_norm: float) -> float:
        """The factor by which `global_clipnorm` scales a gradient of this squared norm, as Keras has it."""
        limit = self.global_clipnorm
        return 1.0 if limit is None else limit / max(math.sqrt(square_norm), limit)

    @abstractmethod
    def coefficients(self, step: int, scale: float) -> tuple[float, ...]:
        """The scalars of update number `step` (from 1), computed once for all pieces.

        Args:
            step: from 1.
            scale: see `apply_range`. It is part of a factor that the gradient is multiplied with in any case.
        """

    @abstractmethod
    def fused_loop(self) -> Loop | None:
        """`update` as one loop over elements that numba can compile, with the same operations in the same order.

        A function of module level that takes `(values, grads, *slots, *coefficients)`; None where `updates_tensors`.
        """

    @abstractmethod
    def update(
        self,
        value: Array,
        grad: Array,
        slots: list[Array],
        scratch: list[Array],
        coefficients: tuple[Any, ...],
    ) -> None:
        """Update one piece in place.

        Everything is `(piece,)`, or of a tensor's shape; `grad` and `scratch` may be overwritten.
        """

    def get_config(self) -> dict[str, Any]:
        """The arguments of this optimizer, as JSON values."""
        fields = {key: value for key, value in vars(self).items() if key != "slots" and key[0] != "_"}
        # Not in the files of earlier versions, which have to match where these are not asked for.
        later = {"clipnorm": None, "use_ema": False, "ema_momentum": 0.99, "ema_overwrite_frequency": None}
        later |= {"loss_scale_factor": None}
        fields = {key: value for key, value in fields.items() if later.get(key, self) != value}
        return {"class": get_registered_name(type(self)), "learning_rate": self._step_size.config(), **fields}
