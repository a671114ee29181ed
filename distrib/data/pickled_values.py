"""Values from pickled bytes: numbers, text, lists, tuples, dicts and NumPy arrays of them, and nothing else.

The files of some data sets were written with Python's pickle, whose loader runs whatever a file names. This is a
loader of its own, which runs nothing: a loop over the opcodes that such values are written with. The names in a file
are compared with those of an array and its parts; any other name, and any other opcode, is an error.

A pickle is a program for a stack. `MARK` remembers a place on it, and what takes many values takes those above the
last mark. `PUT` and `GET` write and read numbered places, for values that occur again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import StorageError

_ARRAY, _RECONSTRUCT, _DTYPE, _ENCODE, _BYTES = "array", "reconstruct", "dtype", "encode", "bytes"
_NAMES = {
    "numpy.ndarray": _ARRAY,
    "numpy.dtype": _DTYPE,
    "numpy.core.multiarray._reconstruct": _RECONSTRUCT,
    "numpy._core.multiarray._reconstruct": _RECONSTRUCT,
    "_codecs.encode": _ENCODE,
    "__builtin__.bytes": _BYTES,
    "builtins.bytes": _BYTES,
}
_KINDS = "buif"  # of dtypes: bool, ints and floats; and objects, of which the elements follow


class _Name(str):
    """A name, which is no text of the file."""


class _NewArray:
    """An array that is not filled yet."""

    array: Array | None = None


class _NewDtype:
    """A dtype whose byte order is not known yet."""

    def __init__(self, code: str) -> None:
        self.code, self.order = code, "="

    def dtype(self) -> np.dtype[Any]:
        dtype = np.dtype(self.code)
        if dtype.kind not in f"{_KINDS}O":
            raise ValueError(f"an array of {self.code}")
        return dtype if self.order in "|=" else dtype.newbyteorder("<" if self.order == "<" else ">")


def unpickled(content: bytes, name: str) -> Any:
    """The value that was pickled. Text of Python 2 is bytes.

    Args:
        content: of protocol 2 or later.
        name: of the file, for errors.

    Raises:
        StorageError: it is damaged, or has something else than plain values and arrays.
    """
    try:
        return _Machine(content).run()
    except (
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        struct.error,
        OverflowError,
    ) as error:
        raise StorageError(f"{name} is damaged, or has more than numbers, text and arrays: {error}") from None


class _Machine:
    """Runs one pickle.

    Args:
        content: the pickle.
    """

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._rare: dict[int, Callable[[], None]] = {
            0x80: lambda: self._skip(1),  # PROTO
            0x95: lambda: self._skip(8),  # FRAME
            ord("]"): lambda: self._stack.append([]),
            ord("}"): lambda: self._stack.append({}),
            ord(")"): lambda: self._stack.append(()),
            ord("N"): lambda: self._stack.append(None),
            0x88: lambda: self._stack.append(True),
            0x89: lambda: self._stack.append(False),
            0x8A: self._long,
            ord("G"): lambda: self._stack.append(struct.unpack(">d", self._take(8))[0]),
            ord("X"): lambda: self._stack.append(self._take(self._number(4)).decode()),
            0x8C: lambda: self._stack.append(self._take(self._number(1)).decode()),
            ord("U"): lambda: self._stack.append(self._take(self._number(1))),
            ord("T"): lambda: self._stack.append(self._take(self._number(4))),
            ord("C"): lambda: self._stack.append(self._take(self._number(1))),
            ord("B"): lambda: self._stack.append(self._take(self._number(4))),
            0x8E: lambda: self._stack.append(self._take(self._number(8))),
            ord("c"): lambda: self._name(f"{self._line()}.{self._line()}"),
            0x93: self._stack_name,
            ord("a"): self._append,
            ord("e"): self._append_all,
            ord("s"): lambda: self._set_items(self._pop_items(len(self._stack) - 2)),
            ord("u"): lambda: self._set_items(self._pop_items(self._marks.pop())),
            ord("t"): lambda: self._stack.append(tuple(self._pop_items(self._marks.pop()))),
            0x85: lambda: self._stack.append(tuple(self._pop_items(len(self._stack) - 1))),
            0x86: lambda: self._stack.append(tuple(self._pop_items(len(self._stack) - 2))),
            0x87: lambda: self._stack.append(tuple(self._pop_items(len(self._stack) - 3))),
            ord("q"): lambda: self._remember(self._number(1)),
            ord("r"): lambda: self._remember(self._number(4)),
            0x94: lambda: self._remember(len(self._memo)),
            ord("h"): lambda: self._stack.append(self._memo[self._number(1)]),
            ord("j"): lambda: self._stack.append(self._memo[self._number(4)]),
            ord("R"): self._reduce,
            ord("b"): self._build,
        }

    def run(self) -> Any:
        """The value on the stack at the end."""
        content, stack = self._content, self._stack
        push, rare = stack.append, self._rare
        while True:
            code = content[self._at]
            self._at += 1
            # The opcodes of most bytes first: small ints.
            if code == 0x4B:  # BININT1
                push(content[self._at])
                self._at += 1
            elif code == 0x4D:  # BININT2
                push(content[self._at] | content[self._at + 1] << 8)
                self._at += 2
            elif code == 0x4A:  # BININT
                push(struct.unpack_from("<i", content, self._at)[0])
                self._at += 4
            elif code == 0x28:  # MARK
                self._marks.append(len(stack))
            elif code == 0x2E:  # STOP
                if len(stack) != 1 or self._marks:
                    raise ValueError("it ends too early")
                return _value(stack[0])
            elif code in rare:
                rare[code]()
            else:
                raise ValueError(f"the opcode {code:#04x}")

    def _skip(self, count: int) -> None:
        self._at += count

    def _take(self, count: int) -> bytes:
        piece = self._content[self._at : self._at + count]
        if len(piece) != count:
            raise ValueError("it ends too early")
        self._at += count
        return piece

    def _number(self, count: int) -> int:
        return int.from_bytes(self._take(count), "little")

    def _line(self) -> str:
        end = self._content.index(b"\n", self._at)
        return self._take(end + 1 - self._at)[:-1].decode("ascii")

    def _long(self) -> None:
        self._stack.append(int.from_bytes(self._take(self._number(1)), "little", signed=True))

    def _name(self, name: str) -> None:
        if name not in _NAMES:
            raise ValueError(f"the name {name}")
        self._stack.append(_Name(_NAMES[name]))

    def _stack_name(self) -> None:
        module, name = self._pop_items(len(self._stack) - 2)
        self._name(f"{module}.{name}")

    def _pop_items(self, begin: int) -> list[Any]:
        if begin < 0:
            raise ValueError("a value is missing")
        items = self._stack[begin:]
        del self._stack[begin:]
        return items

    def _append(self) -> None:
        (item,) = self._pop_items(len(self._stack) - 1)
        _checked(self._stack[-1], list).append(item)

    def _append_all(self) -> None:
        items = self._pop_items(self._marks.pop())
        _checked(self._stack[-1], list).extend(items)

    def _set_items(self, items: list[Any]) -> None:
        found = _checked(self._stack[-1], dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            found[key] = value

    def _remember(self, number: int) -> None:
        self._memo[number] = self._stack[-1]

    def _reduce(self) -> None:
        name, arguments = self._pop_items(len(self._stack) - 2)
        if not isinstance(name, _Name):
            raise ValueError("a call of no name")
        if name == _RECONSTRUCT and arguments[0] == _ARRAY:
            self._stack.append(_NewArray())
        elif name == _DTYPE:
            code = arguments[0]
            self._stack.append(_NewDtype(code.decode("ascii") if isinstance(code, bytes) else str(code)))
        elif name == _ENCODE and arguments[1] == "latin1":
            self._stack.append(_checked(arguments[0], str).encode("latin1"))
        elif name == _BYTES and arguments == ():
            self._stack.append(b"")
        else:
            raise ValueError(f"a call of {name}")

    def _build(self) -> None:
        (state,) = self._pop_items(len(self._stack) - 1)
        made = self._stack[-1]
        if isinstance(made, _NewDtype):
            order = state[1]
            made.order = order.decode("ascii") if isinstance(order, bytes) else str(order)
        elif isinstance(made, _NewArray):
            _, shape, dtype, is_fortran, values = state
            made.array = _filled(shape, _checked(dtype, _NewDtype).dtype(), bool(is_fortran), values)
        else:
            raise ValueError("a state of no array")


def _filled(shape: tuple[int, ...], dtype: np.dtype[Any], is_fortran: bool, values: Any) -> Array:
    if dtype.kind == "O":
        array = np.empty(len(_checked(values, list)), object)
        array[:] = [_value(each) for each in values]
    else:
        array = np.frombuffer(_checked(values, bytes), dtype).copy()
    return array.reshape(shape, order="F" if is_fortran else "C")


def _value(found: Any) -> Any:
    """A value in which arrays stand in their places."""
    if isinstance(found, _NewArray):
        if found.array is None:
            raise ValueError("an array without values")
        return found.array
    if isinstance(found, dict):
        return {key: _value(each) for key, each in found.items()}
    if isinstance(found, list | tuple) and any(
        isinstance(each, _NewArray | list | dict | tuple) for each in found
    ):
        return type(found)([_value(each) for each in found])
    if isinstance(found, _Name | _NewDtype):
        raise ValueError("a name in place of a value")
    return found


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"a {type(value).__name__} in place of a {kind.__name__}")
    return value
