"""The lazy graph of TensorFlow 1: operations that compute nothing until a session runs them.

A node is a function and its arguments, among which are other nodes. A session computes the nodes that are asked for,
each once, with the same functions as everywhere else, so a tape can record them.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from distrib.autodiff.tensor import as_tensor
from distrib.base.errors import ConfigError, DataError

_serial = itertools.count()


class Node(NDArrayOperatorsMixin):
    """What an operation will compute.

    Args:
        function: takes the values of the arguments.
        args: arguments; nodes, or structures with nodes, among them.
        kwargs: likewise.
        name: for errors.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        name: str = "",
    ) -> None:
        self.function, self.args, self.kwargs = function, tuple(args), dict(kwargs or {})
        self.name = f"{name or getattr(function, '__name__', 'operation')}_{next(_serial)}"

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return Node(getattr(ufunc, method) if method != "__call__" else ufunc, inputs, kwargs, ufunc.__name__)

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        return Node(func, args, kwargs)

    def __getitem__(self, key: Any) -> Node:
        return Node(lambda value: value[key], (self,), name="getitem")

    def __bool__(self) -> NoReturn:
        raise ConfigError(f"'{self.name}' has no value yet: a session computes it. Use Session().run.")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise ConfigError(f"'{self.name}' has no value yet: a session computes it. Use Session().run.")

    def __iter__(self) -> NoReturn:
        raise TypeError(f"'{self.name}' has no value yet, so it cannot be iterated over.")

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __hash__(self) -> int:
        return id(self)

    def nodes(self) -> Iterator[Node]:
        """The nodes among its arguments."""
        yield from nodes_in((self.args, self.kwargs))

    def compute(self, values: Mapping[Node, Any]) -> Any:
        """Its value.

        Args:
            values: of the nodes among its arguments.
        """
        args = [filled(each, values) for each in self.args]
        return self.function(*args, **{name: filled(each, values) for name, each in self.kwargs.items()})

    def eval(self, feed_dict: Mapping[Any, Any] | None = None, session: Any = None) -> Any:
        """Its value, computed by the session whose `with` statement is open."""
        return _session(session).run(self, feed_dict)

    def run(self, feed_dict: Mapping[Any, Any] | None = None, session: Any = None) -> None:
        """Run it in the session whose `with` statement is open."""
        _session(session).run(self, feed_dict)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Its shape, None where it follows the size of a batch: found by computing it for two sizes."""
        two, three = (np.shape(evaluate([self], {}, size)[0]) for size in (2, 3))
        return tuple(a if a == b else None for a, b in zip(two, three, strict=True))

    def get_shape(self) -> tuple[int | None, ...]:
        """See `shape`."""
        return self.shape

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{self.name}'>"


class Placeholder(Node):
    """A value that is fed.

    Args:
        dtype: of it.
        shape: of it, None for any size; None for any shape.
        name: of it.
    """

    def __init__(self, dtype: Any, shape: Any = None, name: str | None = None) -> None:
        super().__init__(self._refuse, name=name or "Placeholder")
        self.name = name or self.name
        self.dtype = np.dtype(dtype)
        self._shape = None if shape is None else tuple(None if n in (None, -1) else int(n) for n in shape)

    @property
    def shape(self) -> Any:
        return self._shape

    def _refuse(self) -> NoReturn:
        raise DataError(
            f"Placeholder '{self.name}' of dtype {self.dtype} and shape {self._shape} has no value. Pass it in "
            "feed_dict."
        )

    def take(self, value: Any) -> Any:
        """A value that is fed, as a tensor. Raises `DataError` if it does not fit."""
        array = np.asarray(value, self.dtype)
        known = self._shape
        if known is not None and (
            array.ndim != len(known)
            or any(n is not None and n != size for n, size in zip(known, array.shape, strict=True))
        ):
            raise DataError(
                f"Placeholder '{self.name}' has shape {known}. Received: a value of shape {array.shape}."
            )
        return as_tensor(array)

    def sample(self, size: int) -> Any:
        """A value of the right shape, of zeros."""
        return as_tensor(np.zeros([size if n is None else n for n in self._shape or ()], self.dtype))


class _Open(threading.local):
    def __init__(self) -> None:
        self.sessions: list[Any] = []


_open = _Open()


def _session(session: Any) -> Any:
    if session is None and not _open.sessions:
        raise ConfigError("There is no session. Use `with Session() as sess:`, or pass session=.")
    return session or _open.sessions[-1]


def default_sessions() -> list[Any]:
    """The sessions whose `with` statements are open, the innermost last."""
    return _open.sessions


def nodes_in(structure: Any) -> Iterator[Node]:
    """The nodes of a structure."""
    if isinstance(structure, Node):
        yield structure
    elif isinstance(structure, Mapping):
        for each in structure.values():
            yield from nodes_in(each)
    elif isinstance(structure, list | tuple):
        for each in structure:
            yield from nodes_in(each)


def filled(structure: Any, values: Mapping[Node, Any]) -> Any:
    """The structure, with values in place of nodes."""
    if isinstance(structure, Node):
        return values[structure]
    if isinstance(structure, Mapping):
        return {key: filled(each, values) for key, each in structure.items()}
    if isinstance(structure, list | tuple):
        made = [filled(each, values) for each in structure]
        return type(structure)(*made) if hasattr(structure, "_fields") else type(structure)(made)
    return structure


def evaluate(wanted: Sequence[Node], feeds: Mapping[Node, Any], sample: int | None = None) -> list[Any]:
    """The values of nodes, each computed once.

    Args:
        wanted: the nodes.
        feeds: values of some nodes, which are not computed.
        sample: size of a batch to compute with where a placeholder is not fed; None for an error.
    """
    values: dict[Node, Any] = dict(feeds)
    stack = [(node, False) for node in reversed(wanted)]
    while stack:
        node, is_ready = stack.pop()
        if node in values:
            continue
        if sample is not None and isinstance(node, Placeholder):
            values[node] = node.sample(sample)
        elif is_ready:
            values[node] = node.compute(values)
        else:
            stack.append((node, True))
            stack += [(each, False) for each in node.nodes() if each not in values]
    return [values[node] for node in wanted]
