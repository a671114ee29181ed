"""Operations that are recorded as one, with a gradient written by hand: layers, losses, activation functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from distrib.autodiff.recorder import Node, Pullback, Readable, open_tapes, record, tracking
from distrib.autodiff.tensor import as_tensor, node_of, plain, tracked


def is_tracked(*values: Any) -> bool:
    """Whether an open tape tracks one of these tensors or variables."""
    return bool(open_tapes() and tracking(sources_among(values)))


def sources_among(values: Sequence[Any]) -> list[tuple[int, Node]]:
    """Which of the values a tape knows, and their nodes; see `Record.sources`."""
    found: list[tuple[int, Node]] = []
    for index, each in enumerate(values):
        node = each.node_on(open_tapes()) if isinstance(each, Readable) else node_of(each)
        if node is not None:
            found.append((index, node))
    return found


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
    sources = sources_among(operands) if open_tapes() else []
    tapes = tracking(sources)
    if not tapes:
        return as_tensor(value)
    args = () if form is None else tuple(map(plain, operands))
    made = Pullback(pullback, takes_memory, form)
    return tracked(value, record(tapes, value, sources, made, args, {}, name))
