"""Recording: which operations each open tape has seen.

An operation is recorded by every open tape that tracks one of its operands: a variable, a tensor that is watched, or
the result of a recorded operation. A record holds what the gradient of the operation needs. It belongs to the tape
and not to the tensors, so memory is freed with the tape, however long its results are kept.

Tapes are open in one thread. So are pauses, which nest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError

Gradient: TypeAlias = Callable[..., Any]
"""`gradient(d_y, y, *args, **kwargs)`: that of one operand, from that of the result, which it leaves as it is."""


class Readable:
    """What stands for a tensor: a variable, whose value is read when an operation takes it."""

    __slots__ = ()

    value: Array

    def read(self) -> Array:
        """The value, as a tensor that the open tapes may track."""
        raise NotImplementedError

    def node_on(self, tapes: tuple[Any, ...]) -> Node | None:
        """What open tapes know the value by; None if they do not track it."""
        raise NotImplementedError


class Tape(Protocol):
    """What records.

    Attributes:
        records: what was recorded, in order.
        is_persistent: whether they are gone through several times.
    """

    records: list[Record]
    is_persistent: bool


class Node:
    """A value that tapes track.

    Attributes:
        tapes: the tapes that track it.
        origin: the variable, or another node, whose value it is; None for a value of its own.
        version: of the variable's value.
    """

    __slots__ = ("origin", "tapes", "version")

    def __init__(self, tapes: tuple[Tape, ...], origin: Any = None, version: int = 0) -> None:
        self.tapes, self.origin, self.version = tapes, origin, version

    @property
    def key(self) -> Any:
        """What its gradient is kept under: the origin; or the node itself."""
        return self if self.origin is None else self.origin


@dataclass(slots=True, eq=False)
class Record:
    """One operation.

    Attributes:
        node: its result.
        value: likewise, as an array.
        sources: the operands that were tracked: which argument each is, and its node.
        gradients: one for each argument; or for all at once, if it is a `Pullback`.
        args: the arguments, as arrays.
        kwargs: likewise, by name.
        name: of the operation.
    """

    node: Node
    value: Array
    sources: Sequence[tuple[int, Node]]
    gradients: Sequence[Gradient | None] | Pullback
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    name: str


class Pullback:
    """The gradients of all operands at once, for an operation that computes them together.

    Args:
        function: takes the gradient of the result, and returns a list with those of the operands; None for one on
            which the result does not depend. Takes `into` besides if `takes_memory`.
        takes_memory: whether `into`, variables and the memory for their gradients, may be given.
        form: the operation, written with functions that are recorded, for second derivatives; None for none.
    """

    __slots__ = ("form", "function", "takes_memory")

    def __init__(
        self,
        function: Callable[..., Sequence[Any]],
        takes_memory: bool = False,
        form: Callable[..., Any] | None = None,
    ) -> None:
        self.function, self.takes_memory, self.form = function, takes_memory, form


class _Open(threading.local):
    tapes: tuple[Any, ...] = ()


_open = _Open()


def open_tapes() -> tuple[Any, ...]:
    """The tapes that record in this thread, the outermost first."""
    return _open.tapes


class RecordingOn:
    """Lets these tapes record, and no others, within a `with` statement."""

    __slots__ = ("_before", "_tapes")

    def __init__(self, tapes: tuple[Any, ...]) -> None:
        self._tapes = tapes

    def __enter__(self) -> None:
        self._before = _open.tapes
        _open.tapes = self._tapes

    def __exit__(self, *error: object) -> None:
        _open.tapes = self._before


def enter(tape: Tape) -> None:
    """Let a tape record, besides those that do."""
    _open.tapes = (*_open.tapes, tape)


def leave(tape: Tape) -> None:
    """Let a tape record no more."""
    _open.tapes = tuple(each for each in _open.tapes if each is not tape)


def tracking(sources: Sequence[tuple[int, Node]]) -> tuple[Any, ...]:
    """The open tapes that track one of these operands."""
    tapes = _open.tapes
    if len(tapes) == 1:
        for _, node in sources:
            if node.tapes is tapes or tapes[0] in node.tapes:
                return tapes
        return ()
    return tuple(tape for tape in tapes if any(tape in node.tapes for _, node in sources))


def record(
    tapes: tuple[Any, ...],
    value: Array,
    sources: Sequence[tuple[int, Node]],
    gradients: Sequence[Gradient | None] | Pullback,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    name: str,
) -> Node:
    """Record an operation on `tapes`. For the arguments see `Record`.

    Returns:
        The node of its result.
    """
    node = Node(tapes)
    made = Record(node, value, sources, gradients, args, kwargs, name)
    for tape in tapes:
        tape.records.append(made)
    return node


def refuse(name: str, why: str = "has no gradient") -> ConfigError:
    """The error about an operation on tracked values that cannot be recorded."""
    return ConfigError(
        f"{name} {why}. Write it with other operations, say how with custom_gradient, or leave it out of the "
        "gradient with stop_gradient."
    )
