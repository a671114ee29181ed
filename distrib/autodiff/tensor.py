"""Tensor: a NumPy array whose operations can be recorded, with the few methods that scripts call on results.

NumPy hands what is done with a tensor to `__array_ufunc__` (operators and element-wise functions: NEP 13) and to
`__array_function__` (all others: NEP 18). So plain NumPy functions record. Methods of arrays know neither: those that
have a gradient are defined here as the functions of the same name, and none of the others returns a tensor that looks
as if it had been recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.autodiff.operations import Dispatch, astype
from distrib.autodiff.recorder import Node, Readable
from distrib.autodiff.rules.indexing import item_of
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError


class Tensor(np.ndarray[Any, Any]):
    """An array that also has `numpy()`. Everything that takes arrays takes it, and what is computed from it is one.

    A result without axes, such as a loss, converts by `float()` and formats as a number. `x += y` makes a new tensor,
    as in TensorFlow.

    Attributes:
        node: what a tape knows it by; None where no tape tracks it.
    """

    node: Node | None = None

    def numpy(self) -> Any:
        """The plain array, which shares the memory; a NumPy number if there are no axes."""
        return self.view(np.ndarray)[()] if self.ndim == 0 else self.view(np.ndarray)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__":
            return Dispatch.reduced(ufunc, method, inputs, kwargs)
        if kwargs:
            return Dispatch.apply(ufunc, inputs, kwargs)
        return Dispatch.apply_ufunc(ufunc, inputs)

    def __array_function__(
        self, func: Callable[..., Any], types: Any, args: Iterable[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        return Dispatch.apply(func, tuple(args), dict(kwargs))

    def __getitem__(self, key: Any) -> Any:
        return Dispatch.apply(item_of, (self, key), {})

    def __setitem__(self, key: Any, value: Any) -> None:
        check_not_tracked(self, "be assigned to")
        super().__setitem__(key, plain(value))

    def __hash__(self) -> int:  # type: ignore[override]
        """That of the number; raises `TypeError` for a tensor with axes, as arrays do."""
        if self.ndim:
            raise TypeError("unhashable: a tensor with axes")
        return hash(self.item())

    def __iter__(self) -> Any:
        if self.ndim == 0:
            raise TypeError("iteration over a tensor without axes")
        return (self[index] for index in range(len(self)))

    @property
    def T(self) -> Any:  # noqa: N802
        """The axes in reverse order."""
        return np.transpose(self)

    @property
    def mT(self) -> Any:  # noqa: N802
        """The last two axes exchanged."""
        return np.swapaxes(self, -1, -2)

    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        """The same elements in another shape."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, **kwargs)

    def transpose(self, *axes: Any) -> Any:
        """The axes in another order."""
        return np.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """The same elements in another dtype."""
        return Dispatch.apply(astype, (self, np.dtype(dtype)), {})

    def get_shape(self) -> tuple[int, ...]:
        """See `shape`."""
        return tuple(self.shape)

    def __reduce__(self) -> Any:
        return self.view(np.ndarray).__reduce__()


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__doc__ = f"See `numpy.{function.__name__}`."
    return method


def _compress(self: Any, condition: Any, axis: Any = None) -> Any:
    """See `numpy.compress`."""
    return np.compress(condition, self, axis)


def _guarded(name: str, what: str) -> Callable[..., Any]:
    """A method of arrays, which a tensor that a tape tracks has not."""
    inherited = getattr(np.ndarray, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        check_not_tracked(self, what)
        return inherited(self, *args, **kwargs)

    method.__doc__ = f"See `numpy.ndarray.{name}`. Raises `ConfigError` for a tensor that a tape tracks."
    return method


_RECORDED = """
all any argmax argmin argpartition argsort clip copy cumprod cumsum diagonal dot max mean min prod ptp ravel repeat
round searchsorted squeeze std sum swapaxes take trace var
""".split()  # noqa: SIM905
_IN_PLACE = {
    "__iadd__": np.add,
    "__isub__": np.subtract,
    "__imul__": np.multiply,
    "__itruediv__": np.true_divide,
    "__ifloordiv__": np.floor_divide,
    "__imod__": np.remainder,
    "__ipow__": np.power,
    "__imatmul__": np.matmul,
}
for _name in _RECORDED:
    if hasattr(np.ndarray, _name):
        setattr(Tensor, _name, _method(getattr(np, _name)))
Tensor.flatten = _method(np.ravel)  # type: ignore[method-assign]
setattr(Tensor, "real", property(_method(np.real)))  # noqa: B010
setattr(Tensor, "compress", _compress)  # noqa: B010
for _name, _function in _IN_PLACE.items():
    setattr(Tensor, _name, _method(_function))
for _name in ("fill", "partition", "put", "resize", "setfield", "sort"):
    setattr(Tensor, _name, _guarded(_name, f"be changed by {_name}"))
for _name in ("byteswap", "choose", "getfield"):
    setattr(Tensor, _name, _guarded(_name, f"go through {_name}"))


def plain(value: Any) -> Any:
    """`value` as NumPy knows it, where it is a tensor or a variable; sequences of these likewise."""
    kind = type(value)
    if kind is Tensor:
        return value.view(np.ndarray)
    if kind is list or kind is tuple:
        return kind(map(plain, value))
    return value.value if isinstance(value, Readable) else value


def wrapped(value: Any) -> Any:
    """Arrays and numbers of NumPy as tensors; lists and tuples of them likewise."""
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value).view(Tensor)
    if isinstance(value, list):
        return [wrapped(each) for each in value]
    if isinstance(value, tuple):
        made = [wrapped(each) for each in value]
        return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
    return value


def as_tensor(value: ArrayLike) -> Array:
    """`value` as a `Tensor`; arrays are not copied, and a tensor is returned as it is."""
    if isinstance(value, Tensor):
        return value
    return np.asarray(value).view(Tensor)


def tracked(array: Any, node: Node) -> Array:
    """`array` as the tensor of a node."""
    tensor = np.asarray(array).view(Tensor)
    tensor.node = node
    return tensor


def node_of(value: Any) -> Node | None:
    """The node of a tensor; None where there is none."""
    return value.node if type(value) is Tensor else None


def read(value: Any) -> Any:
    """A variable as the tensor of its value; sequences of these likewise; all else as it is."""
    kind = type(value)
    if kind is Tensor or kind is np.ndarray:
        return value
    if kind is list or kind is tuple:
        return kind(map(read, value))
    return value.read() if isinstance(value, Readable) else value


def check_not_tracked(value: Any, what: str) -> None:
    """Raise `ConfigError` for a tensor that a tape tracks, and that is about to be written to."""
    if node_of(value) is not None:
        raise ConfigError(
            f"A tensor that a GradientTape has recorded cannot {what}: its gradient would be that of other numbers. "
            "Make a new one: y = y + 1, or np.where(mask, new, y)."
        )
