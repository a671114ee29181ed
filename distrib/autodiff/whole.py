"""Operations that are recorded as one, with a gradient written by hand: layers, losses, activation functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from distrib.autodiff.recorder import Node, Pullback, Readable, open_tapes, record, tracking
from distrib.autodiff.tensor import as_tensor, node_of, plain, tracked


def is_tracked(*values: Any) -> bool:
    """Whether an open tape tracks one of these tensors or variables."""
    if not open_tapes():
        return False
    nodes = [_node_of(each) for each in values if type(each) is not np.ndarray]
    return bool(tracking([(0, node) for node in nodes if node is not None]))


def _node_of(value: Any) -> Node | None:
    return value.node_on(open_tapes()) if isinstance(value, Readable) else node_of(value)


def recorded(
    name: str,
    value: Any,
    operands: Sequence[Any],
    pullback: Callable[..., Sequence[Any]],
    takes_memory: bool = False,
    form: Callable[..., Any] | None = None,
) -> Any:
    """`value` as a tensor, recorded as the result of an operation.

    Args:
        name: of the operation, for errors.
        value: its result, which nobody writes to any more.
        operands: tensors, variables and arrays.
        pullback: from the gradient of the result, those of the operands; see `Pullback`.
        takes_memory: see `Pullback`.
        form: likewise; takes the operands.
    """
    sources = []
    if open_tapes():
        nodes = [
            (index, _node_of(each)) for index, each in enumerate(operands) if type(each) is not np.ndarray
        ]
        sources = [(index, node) for index, node in nodes if node is not None]
    tapes = tracking(sources)
    if not tapes:
        return as_tensor(value)
    args = () if form is None else tuple(map(plain, operands))
    made = Pullback(pullback, takes_memory, form)
    return tracked(value, record(tapes, value, sources, made, args, {}, name))
