"""Optimizer: an elementwise update of any range of the flat vector.

Adam over the whole vector equals Adam over its pieces bit for bit, so one class serves a single process, the
owner of a range in a ring, and a parameter server. That needs two rules for every subclass: element i of the
update depends on element i of the vectors only, and only + - * / and square roots are used (they are exact in
IEEE 754, so hosts with other BLAS or SIMD compute the same bits).

Where numba is installed, a range is updated in one fused loop (`nn/jit.py`): each element is read and written once.
Without it, a range is updated piece by piece, with scratch memory of one piece: small enough for the gradient,
the value, the slots and the scratch to stay in the second-level cache through the dozen passes of an update, large
enough for the calls not to matter (measured: 32 k to 64 k elements). The two give the same bits.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from distrib.base.arrays import Array, aligned_vector
from distrib.base.attributes import HasAttributes
from distrib.base.errors import ConfigError
from distrib.nn.jit import Loop, compiled
from distrib.nn.schedules import LearningRateSchedule, deserialize, serialize

PIECE_ELEMENTS = 32 * 1024

LearningRate: TypeAlias = float | LearningRateSchedule | Mapping[str, Any]
"""A number, a schedule, or the config of one."""


class Optimizer(HasAttributes):
    """Base of all optimizers.

    Args:
        learning_rate: positive step size, which may be changed between steps; or a schedule, see `nn/schedules`.
        name: name of the optimizer.
        weight_decay: share of the values, times the learning rate, that is subtracted before each update, of all
            variables that are trained (Loshchilov and Hutter, 2019); None for none.
        clipvalue: clip every element of the gradient to `[-clipvalue, clipvalue]`.
        global_clipnorm: scale the whole gradient down so that its norm is at most this.
        gradient_accumulation_steps: batches whose gradients become one update; the replicas talk once for all of
            them. What is left at the end of an epoch is an update too.

    Raises:
        ConfigError: an invalid number, or both ways to clip.

    Attributes:
        iterations: number of updates applied.
        slots: state vectors over the range this process owns, by name.
    """

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Names of the slots that `update` takes, in their order."""
        return ()

    def __init__(
        self,
        learning_rate: LearningRate,
        name: str,
        weight_decay: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        gradient_accumulation_steps: int | None = None,
    ) -> None:
        kind = type(self).__name__
        clips = {"clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = {key: clip for key, clip in clips.items() if clip is not None}
        if len(given) > 1 or not all(clip > 0 for clip in given.values()):
            raise ConfigError(
                f"{kind} expects one of clipvalue > 0 and global_clipnorm > 0. Received: {given}."
            )
        if gradient_accumulation_steps is not None and gradient_accumulation_steps < 1:
            raise ConfigError(
                f"{kind} expects gradient_accumulation_steps >= 1. Received: {gradient_accumulation_steps}."
            )
        if weight_decay is not None and not 0 <= weight_decay < math.inf:
            raise ConfigError(f"{kind} expects weight_decay >= 0. Received: {weight_decay}.")
        self.iterations = 0
        self._schedule: LearningRateSchedule | None = None
        self.learning_rate = learning_rate
        self.name, self.weight_decay = name, weight_decay
        self.clipvalue, self.global_clipnorm = clipvalue, global_clipnorm
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.slots: dict[str, Array] = {}
        self._elements = ""
        self._piece_elements = PIECE_ELEMENTS
        self._scratch: list[Array] = []
        self._fused: Loop | None = None

    @property
    def learning_rate(self) -> float:
        """The step size of the next update, a finite number >= 0.

        May be set between steps, to a number or a schedule. Where a schedule gives it, another number is a
        `ConfigError`, as in Keras.
        """
        if self._schedule is None:
            return self._learning_rate
        # Twelve digits: what a math library has rounded differently on another host is no difference.
        return float(f"{self._number(self._schedule(self.iterations)):.12g}")

    @learning_rate.setter
    def learning_rate(self, rate: LearningRate) -> None:
        if isinstance(rate, Mapping):
            rate = deserialize(rate)
        if isinstance(rate, LearningRateSchedule):
            self._schedule = rate
        elif self._schedule is not None:
            raise ConfigError(
                f"The learning rate of this {type(self).__name__} follows {type(self._schedule).__name__}. "
                f"Received: {rate!r}. Make the optimizer with a number, to set it in between."
            )
        else:
            self._learning_rate = self._number(rate)

    def _number(self, rate: Any) -> float:
        try:
            number = float(rate)
        except (TypeError, ValueError):
            number = math.nan
        if isinstance(rate, str) or not 0 <= number < math.inf:
            raise ConfigError(f"{type(self).__name__} expects learning_rate >= 0. Received: {rate!r}.")
        return number

    @property
    def has_schedule(self) -> bool:
        """Whether a schedule gives the learning rate."""
        return self._schedule is not None

    def follow(self, rate: float) -> None:
        """Take the chief's learning rate, or that of a checkpoint; a schedule stays."""
        if self._schedule is None:
            self.learning_rate = rate

    @property
    def compiled_loop(self) -> Loop | None:
        """The loop that updates a range, as machine code; None before `build` and without numba."""
        return self._fused

    def build(self, num_elements: int, dtype: np.dtype[Any], elements: str = "") -> None:
        """Make slots, or keep those that there are if they are for the same elements.

        Args:
            num_elements: how many are updated by this process.
            dtype: dtype of the elements.
            elements: any text that is different for other elements.
        """
        for name in self.slot_names:
            slot = self.slots.get(name)
            if slot is None or slot.size != num_elements or slot.dtype != dtype or elements != self._elements:
                self.slots[name] = aligned_vector(num_elements, dtype)
                self.slots[name][...] = self.initial_slot(name)
        self._elements = elements
        nothing = [np.empty(0, dtype)] * (2 + len(self.slot_names))
        self._fused = compiled(self.fused_loop(), *nothing, *map(dtype.type, self.coefficients(1, 1.0)))
        piece = 0 if self._fused is not None else min(num_elements, self._piece_elements)
        self._scratch = [aligned_vector(piece, dtype) for _ in range(2)]

    def initial_slot(self, name: str) -> float:
        """The value of all elements of a slot before the first update."""
        return 0.0

    def forget(self) -> None:
        """Begin anew: no updates so far, and slots as before the first."""
        self.iterations, self.slots = 0, {}

    def apply(self, values: Array, grads: Array, scale: float = 1.0) -> None:
        """One update, in place.

        Args:
            values: `(num_elements,)`, the owned range of the values.
            grads: `(num_elements,)`, the same range of the summed gradient; may be overwritten.
            scale: what turns the sum into the gradient, usually 1 / number of examples.
        """
        self.apply_parts([(values, grads)], scale)

    def apply_parts(self, parts: Sequence[tuple[Array, Array]], scale: float = 1.0) -> None:
        """`apply` where the owned elements lie in several places: one update of all parts.

        Args:
            parts: values and gradients of each, in the same order at every update; `num_elements` together.
            scale: see `apply`.
        """
        step, begin = self.iterations + 1, 0
        for values, grads in parts:
            own = slice(begin, begin + values.size)
            slots = [self.slots[name][own] for name in self.slot_names]
            self._update_part(values, grads, slots, step, scale)
            begin = own.stop
        self.iterations = step  # a schedule has seen the updates before this one

    def _update_part(self, values: Array, grads: Array, slots: list[Array], step: int, scale: float) -> None:
        kind = values.dtype.type
        if self.weight_decay:
            values *= kind(1.0 - self.weight_decay * self.learning_rate)
        if self.clipvalue is not None:
            # Over the whole range, before: piece by piece it is no faster without numba, and slower with it
            # (814 k elements: 0.48 to 0.66 ms with pieces of 128 to 32 k, 0.40 ms so).
            np.multiply(grads, kind(scale), out=grads)
            np.clip(grads, -self.clipvalue, self.clipvalue, out=grads)
            scale = 1.0
        coefficients = tuple(map(kind, self.coefficients(step, scale)))
        if self._fused is not None:
            self._fused(values, grads, *slots, *coefficients)
            return
        coefficients = tuple(map(np.asarray, coefficients))  # made once, not by every call
        for begin in range(0, values.size, self._piece_elements):
            piece = slice(begin, begin + self._piece_elements)
            grad = grads[piece]
            scratch = [array[: grad.size] for array in self._scratch]
            self.update(values[piece], grad, [slot[piece] for slot in slots], scratch, coefficients)

    def clipping(self, square_norm: float) -> float:
        """The factor by which `global_clipnorm` scales a gradient of this squared norm, as Keras has it."""
        limit = self.global_clipnorm
        return 1.0 if limit is None else limit / max(math.sqrt(square_norm), limit)

    @abstractmethod
    def coefficients(self, step: int, scale: float) -> tuple[float, ...]:
        """The scalars of update number `step` (from 1), computed once for all pieces.

        Args:
            step: from 1.
            scale: see `apply`. It is part of a factor that the gradient is multiplied with in any case.
        """

    @abstractmethod
    def fused_loop(self) -> Loop:
        """`update` as one loop over elements that numba can compile, with the same operations in the same order.

        A function of module level that takes `(values, grads, *slots, *coefficients)`.
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
        """Update one piece in place. Everything is `(piece,)`; `grad` and `scratch` may be overwritten."""

    def get_config(self) -> dict[str, Any]:
        """The arguments of this optimizer, as JSON values."""
        state = ("iterations", "slots")
        fields = {key: value for key, value in vars(self).items() if key not in state and key[0] != "_"}
        rate = self.learning_rate if self._schedule is None else serialize(self._schedule)
        return {"class": type(self).__name__, "learning_rate": rate, **fields}
