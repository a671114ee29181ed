"""Variable: a named array that is trained in place.

A variable begins with memory of its own. When its model is compiled, a `FlatBuffer` moves it: from then on
`value` and `grad` are views into the two flat vectors that strategies reduce, update and send.
"""

from __future__ import annotations

import copy
import zlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.autodiff.operand import Operand
from distrib.autodiff.recorder import Node, open_tapes
from distrib.autodiff.tensor import Tensor
from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError, ShapeError


class Storage:
    """Memory that variables lie in.

    Attributes:
        assigned: a checksum of all that was assigned to them; 0 for nothing.
    """

    assigned: int = 0


class Variable(Operand):
    """A named array with a gradient of the same shape.

    Operators and NumPy functions take it as they take an array. An open `GradientTape` tracks what they compute.

    Args:
        initial_value: what it holds at first; copied. Python floats become float32.
        trainable: whether an optimizer may update it.
        name: shown in errors and in checkpoints.
        dtype: dtype to hold the value in; that of `initial_value` by default.
        synchronization: accepted for TensorFlow's sake: a variable belongs to this process. Replicas that train a
            model keep its variables equal.
        aggregation: for a variable of a layer that is not trained: how replicas combine it after each step; see
            `Layer.add_weight`.

    Attributes:
        aggregation: in lower case; None if nothing was said.
        regularizer: penalizes it in training, if there is one.
        constraint: is applied to it after each update, if there is one.
        version: changes with every assignment and update.
    """

    __slots__ = (
        "__weakref__",
        "_grad",
        "_value",
        "aggregation",
        "constraint",
        "name",
        "place",
        "regularizer",
        "trainable",
        "version",
    )

    def __init__(
        self,
        initial_value: ArrayLike,
        trainable: bool = True,
        name: str = "Variable",
        dtype: str | np.dtype[Any] | None = None,
        *,
        synchronization: str | None = None,
        aggregation: str | None = None,
    ) -> None:
        self.name = name
        self.trainable = trainable
        self._value: Array = np.array(constant(initial_value, dtype=dtype))
        self._grad: Array | None = None
        self.place: Storage | None = None
        self.version = 0
        self.aggregation = _aggregation(aggregation)
        self.regularizer: Any = None
        self.constraint: Any = None

    @property
    def shape(self) -> Shape:
        """Shape of the value."""
        return self._value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the value."""
        return self._value.dtype

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._value.size

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self._value.ndim

    @property
    def value(self) -> Array:  # type: ignore[override]
        """The value itself, not a copy. Write with `assign`."""
        return self._value

    @property
    def grad(self) -> Array:
        """Where a layer writes the gradient: the same shape and dtype as the value."""
        if self._grad is None:
            self._grad = np.zeros_like(self._value)
        return self._grad

    def read(self) -> Array:
        """The value as a tensor, which the open tapes track; a copy where they do not."""
        tapes = open_tapes()
        tensor: Tensor = self._value.view(Tensor)
        if not tapes:
            return tensor
        node = self.node_on(tapes)
        if node is None:
            return tensor.copy()
        tensor.node = node
        return tensor

    def node_on(self, tapes: tuple[Any, ...]) -> Node | None:
        """What open tapes know the value by; None if they do not track it."""
        found = tuple([tape for tape in tapes if tape.tracks(self)])
        return Node(found, self, self.version) if found else None

    def read_value(self) -> Array:
        """A copy of the value as a tensor; see `read`."""
        return np.copy(self.read())

    def shadow(self) -> Variable:
        """A variable of the same value, in the same memory, with a gradient of its own."""
        shadow = copy.copy(self)
        shadow._grad, shadow.place = None, None
        return shadow

    def updated(self) -> None:
        """An optimizer has changed the value in place."""
        self.version += 1

    def numpy(self) -> Array:
        """A copy of the value."""
        return self._value.copy()

    def assign(self, value: ArrayLike) -> Variable:
        """Overwrite the value in place. Raises `ShapeError` for another shape."""
        self._value[...] = self._checked(value, "assign")
        return self._was_assigned()

    def assign_add(self, delta: ArrayLike) -> Variable:
        """Add `delta` in place. Raises `ShapeError` for another shape."""
        self._value += self._checked(delta, "assign_add")
        return self._was_assigned()

    def assign_sub(self, delta: ArrayLike) -> Variable:
        """Subtract `delta` in place. Raises `ShapeError` for another shape."""
        self._value -= self._checked(delta, "assign_sub")
        return self._was_assigned()

    def _was_assigned(self) -> Variable:
        self.version += 1
        if self.place is not None:
            self.place.assigned = zlib.crc32(np.ascontiguousarray(self._value).data, self.place.assigned)
        return self

    def move_to(self, value: Array, grad: Array, place: Storage | None) -> None:
        """Continue in other memory, which holds the value from now on.

        Args:
            value: of the variable's shape and dtype.
            grad: likewise, for its gradient.
            place: to whom the memory belongs; `place` says so until the variable moves on.
        """
        self._value, self._grad, self.place = value, grad, place

    def _checked(self, value: ArrayLike, operation: str) -> Array:
        array = np.asarray(value.value if isinstance(value, Variable) else value, dtype=self.dtype)
        if array.shape != self.shape:
            raise ShapeError(
                f"Variable '{self.name}'.{operation} expects shape {self.shape}. Received: {array.shape}."
            )
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False and dtype not in (None, self.dtype):
            raise ValueError(f"Variable '{self.name}' of {self.dtype} needs a copy to become {dtype}.")
        return np.array(self._value, dtype=dtype) if copy is not False else self._value

    def __repr__(self) -> str:
        return f"<Variable '{self.name}' shape={self.shape} dtype={self.dtype} trainable={self.trainable}>"


def _aggregation(given: Any) -> str | None:
    """In lower case; None for none. TensorFlow's are members of an enumeration, of which the name counts."""
    name = None if given is None else str(getattr(given, "name", given)).lower().rpartition(".")[2]
    if name not in (None, "none", "mean", "sum", "only_first_replica"):
        raise ConfigError(f"Expected aggregation none, mean, sum or only_first_replica. Received: {given!r}.")
    return None if name == "none" else name


def constant(value: ArrayLike, dtype: str | np.dtype[Any] | None = None, shape: Shape | None = None) -> Array:
    """A read-only array.

    Args:
        value: number, nested list or array.
        dtype: its dtype. As in TensorFlow, Python floats become float32 and Python ints int32 by default;
            arrays keep theirs.
        shape: shape to fill, when `value` is one number.

    Raises:
        ShapeError: `value` does not fit `shape`.
    """
    array = np.array(value.value if isinstance(value, Variable) else value, dtype=dtype)
    if dtype is None and not isinstance(value, np.ndarray | np.generic | Variable):
        narrower = {"float64": "float32", "int64": "int32"}.get(array.dtype.name)
        array = array.astype(narrower) if narrower else array
    if shape is not None:
        if array.size == 1:
            array = np.full(shape, array.reshape(())[()], dtype=array.dtype)
        elif array.shape != tuple(shape):
            raise ShapeError(f"constant expects a value of shape {tuple(shape)}. Received: {array.shape}.")
    array.flags.writeable = False
    return array
