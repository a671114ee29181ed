"""Operand: the operators of what stands for a tensor, such as a variable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from distrib.autodiff.operations import Dispatch
from distrib.autodiff.recorder import Readable
from distrib.autodiff.tensor import Tensor


class Operand(NDArrayOperatorsMixin, Readable):
    """Operators and NumPy functions read the value. `x += y` makes a tensor; `==` compares objects."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs:
            return Dispatch.apply_ufunc(ufunc, inputs)
        inputs = tuple(each.read() if isinstance(each, Readable) else each for each in inputs)
        return Tensor.__array_ufunc__(inputs[0], ufunc, method, *inputs, **kwargs)

    def __array_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        return self._apart(Dispatch.apply(func, tuple(args), kwargs))

    def _apart(self, result: Any) -> Any:
        """A result that does not change with the next assignment: a copy of a view, such as a slice, of the value."""
        if isinstance(result, Tensor) and result.node is None and np.may_share_memory(result, self.value):
            return result.copy()
        return result

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    __hash__ = object.__hash__

    def __getitem__(self, key: Any) -> Any:
        return self._apart(self.read()[key])

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        return map(self._apart, self.read())

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __format__(self, spec: str) -> str:
        return format(self.value, spec) if spec else str(self)

    def __iadd__(self, other: Any) -> Any:
        return self.read() + other

    def __isub__(self, other: Any) -> Any:
        return self.read() - other

    def __imul__(self, other: Any) -> Any:
        return self.read() * other

    def __itruediv__(self, other: Any) -> Any:
        return self.read() / other

    def __ipow__(self, other: Any) -> Any:
        return self.read() ** other

    def __imatmul__(self, other: Any) -> Any:
        return self.read() @ other
