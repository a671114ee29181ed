"""StepContext: the step of `fit` that a `train_step` of a user's own is called in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from distrib.nn.variable import Variable


class StepContext:
    """What gradients that are applied within the step mean.

    Args:
        rows: number of examples of this replica's part of the batch, by which its gradients are weighted.
        take: called with an optimizer, gradients and variables; returns whether it has taken them for the update that
            `fit` makes itself.
    """

    def __init__(self, rows: int, take: Callable[[Any, Sequence[Any], Sequence[Variable]], bool]) -> None:
        self.rows, self.take = rows, take


_current: ContextVar[StepContext | None] = ContextVar("distrib_step", default=None)


def current_step() -> StepContext | None:
    """The step that is under way in this thread; None outside of all."""
    return _current.get()


@contextmanager
def in_step(step: StepContext) -> Iterator[None]:
    """Gradients are applied within this step."""
    token = _current.set(step)
    try:
        yield
    finally:
        _current.reset(token)
