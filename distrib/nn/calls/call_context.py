"""CallContext: what a call of a layer is part of: a step of a training, a prediction, or nothing else.

While a layer or model of one's own is called, the layers that it calls find here whether they train, in which dtype
and from which seed their variables are made, which random numbers are theirs, and where losses are added. Every call
has a path, `block/dense`: the names of the layers it is within. What is drawn follows from it, so two layers never
draw the same numbers, and the same layer draws the same ones on any number of replicas.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from distrib.nn.rng import RngKey, stream_key

_SEED_BITS = 63


class CallContext:
    """One call, with those within it.

    Args:
        training: whether it is part of a training.
        draw: which random numbers are drawn; None for none.
        dtype: of variables and computations.
        seed: of initial values.
        rows: number of examples; None where it is not known.
        draw_in_step: in a step of a user's own, which random numbers what is called with `training=True` draws.

    Attributes:
        path: names of the layers whose calls are under way, the outermost first.
        losses: what was added to the loss so far.
    """

    def __init__(
        self,
        training: bool,
        draw: RngKey | None,
        dtype: np.dtype[Any],
        seed: int,
        rows: int | None = None,
        draw_in_step: RngKey | None = None,
    ) -> None:
        self.draw_in_step = draw_in_step
        self.training, self.draw, self.dtype, self.seed, self.rows = training, draw, dtype, seed, rows
        self.path: tuple[str, ...] = ()
        self.losses: list[Any] = []
        self._counts: dict[str, int] = {}

    @property
    def own_seed(self) -> int:
        """The seed of the variables that are made in this call."""
        return (
            stream_key("variables", self.seed, *self.path) >> (128 - _SEED_BITS) if self.path else self.seed
        )

    def stream(self, what: str) -> str:
        """A name for random numbers, which differs from call to call."""
        name = "/".join([*self.path, what])
        count = self._counts[name] = self._counts.get(name, -1) + 1
        return f"{name}/{count}" if count else name


class _Current(threading.local):
    context: CallContext | None = None


_current = _Current()


class EagerDraws:
    """What is drawn where no context says it: from the global seed, one number for each call.

    Attributes:
        next_seed: returns a seed, another one each time.
    """

    next_seed: Callable[[], int]


def current_context() -> CallContext | None:
    """That of the call that is under way in this thread; None outside of all."""
    return _current.context


@contextmanager
def in_context(context: CallContext) -> Iterator[CallContext]:
    """Calls are part of this one."""
    before = _current.context
    _current.context = context
    try:
        yield context
    finally:
        _current.context = before


@contextmanager
def in_call(
    layer: Any, training: bool | None, dtype: np.dtype[Any], seed: int, rows: int | None
) -> Iterator[CallContext]:
    """The call of a layer, within that which is under way.

    Args:
        layer: has a name. If no call is under way, it is left what was added to the loss.
        training: whether it trains; None as the call that it is within, which does not if there is none.
        dtype: of a layer that is called by itself.
        seed: likewise.
        rows: number of examples.
    """
    outer = _current.context
    is_outermost = outer is None or not outer.path
    draw = None if outer is None else outer.draw or outer.draw_in_step
    if training and draw is None:
        draw = RngKey(EagerDraws.next_seed(), 0, 0)
    context = CallContext(bool(training), None, dtype, seed, rows) if outer is None else outer
    before = context.path, context.training, context.draw
    # Names of models are numbered in the process, and those of layers in what has them.
    context.path = (*context.path, getattr(layer, "_name_in_owner", None) or layer.name)
    if training is not None:
        context.training = training
        context.draw = draw if training else None
    if is_outermost:
        context.losses = []
    try:
        with in_context(context):
            yield context
    finally:
        context.path, context.training, context.draw = before
        if is_outermost:
            layer._call_losses = tuple(context.losses)
