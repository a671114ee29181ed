"""Optimizer: an elementwise update of any range of the flat vector.

Adam over the whole vector equals Adam over its pieces bit for bit, so one class serves a single process, the
owner of a range in a ring, and a parameter server. That needs two rules for every subclass: element i of the
update depends on element i of the vectors only, and only + - * / and square roots are used (they are exact in
IEEE 754, so hosts with other BLAS or SIMD compute the same bits).

A range is updated piece by piece, with scratch memory of one piece: small enough for the gradient, the
value, the slots and the scratch to stay in the second-level cache through the dozen passes of an update, large
enough for the calls not to matter (measured: 32 k to 64 k elements, `scripts/bench/core.py --pieces`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from distrib.arrays import Array, aligned_vector
from distrib.errors import ConfigError

PIECE_ELEMENTS = 32 * 1024


class Optimizer(ABC):
    """Base of all optimizers.

    Args:
        learning_rate: positive step size; may be changed between steps.
        name: name of the optimizer.

    Attributes:
        iterations: number of updates applied.
        slots: state vectors over the range this process owns, by name.
    """

    slot_names: tuple[str, ...] = ()

    def __init__(self, learning_rate: float, name: str) -> None:
        if not learning_rate >= 0:
            raise ConfigError(f"{type(self).__name__} expects learning_rate >= 0. Received: {learning_rate}.")
        self.learning_rate = float(learning_rate)
        self.name = name
        self.iterations = 0
        self.slots: dict[str, Array] = {}
        self._piece_elements = PIECE_ELEMENTS
        self._scratch: list[Array] = []

    def build(self, num_elements: int, dtype: np.dtype[Any]) -> None:
        """Make zeroed slots for `num_elements` elements; existing ones of that size and dtype are kept."""
        for name in self.slot_names:
            slot = self.slots.get(name)
            if slot is None or slot.size != num_elements or slot.dtype != dtype:
                self.slots[name] = aligned_vector(num_elements, dtype)
        piece = min(num_elements, self._piece_elements)
        self._scratch = [aligned_vector(piece, dtype) for _ in range(2)]

    def apply(self, values: Array, grads: Array, scale: float = 1.0) -> None:
        """One update, in place.

        Args:
            values: `(num_elements,)`, the owned range of the values.
            grads: `(num_elements,)`, the same range of the summed gradient; overwritten.
            scale: what turns the sum into the gradient, usually 1 / number of examples.
        """
        self.iterations += 1
        coefficients = self.coefficients(values.dtype)
        factor = values.dtype.type(scale)
        slots = [self.slots[name] for name in self.slot_names]
        for begin in range(0, values.size, self._piece_elements):
            piece = slice(begin, begin + self._piece_elements)
            grad = grads[piece]
            grad *= factor
            scratch = [array[: grad.size] for array in self._scratch]
            self.update(values[piece], grad, [slot[piece] for slot in slots], scratch, coefficients)

    @abstractmethod
    def coefficients(self, dtype: np.dtype[Any]) -> tuple[Any, ...]:
        """The scalars of this update, computed once for all pieces, as scalars of `dtype`."""

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
        """What it takes to make this optimizer again, as JSON values."""
        state = ("iterations", "slots")
        fields = {key: value for key, value in vars(self).items() if key not in state and key[0] != "_"}
        return {"class": type(self).__name__, **fields}
