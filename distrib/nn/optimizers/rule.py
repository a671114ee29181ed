"""Rule: what an optimizer says about its updates."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from distrib.base.arrays import Array
from distrib.nn.jit import Loop


class Rule(Protocol):
    """How values change; `Optimizer` is one, and says what its arguments mean."""

    updates_tensors: ClassVar[bool]
    weight_decay: float | None
    clipnorm: float | None
    clipvalue: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None

    @property
    def learning_rate(self) -> float:
        """The step size of the next update."""

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Names of the slots that `update` takes, in their order."""

    @property
    def whole_tensors(self) -> bool:
        """Whether a tensor must not be cut."""

    def coefficients(self, step: int, scale: float) -> tuple[float, ...]:
        """The scalars of an update; see `Optimizer`."""

    def fused_loop(self) -> Loop | None:
        """`update` as a loop over elements; see `Optimizer`."""

    def update(
        self,
        value: Array,
        grad: Array,
        slots: list[Array],
        scratch: list[Array],
        coefficients: tuple[Any, ...],
    ) -> None:
        """Update a piece or a tensor in place; see `Optimizer`."""
