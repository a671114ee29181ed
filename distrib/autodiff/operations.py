"""What is known about the gradient of each operation: the tables that the modules in `rules/` fill.

An operation has a rule, with a function for the gradient of each argument; or it is written with others that have
one; or its result has no gradient, and is a plain array. All else is an error once a tape tracks an argument. Rules
are written with NumPy functions themselves, so where another tape is open it records the gradient, too.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from distrib.autodiff.recorder import Gradient, Readable
from distrib.base.arrays import Array


class Rule(NamedTuple):
    """The gradient of an operation.

    Attributes:
        gradients: one for each argument, as far as there are any.
        of_sequence: for an operation on a sequence of arrays: from its arguments, the gradients of the elements.
    """

    gradients: tuple[Gradient | None, ...]
    of_sequence: Callable[..., list[Gradient]] | None = None


RULES: dict[Callable[..., Any], Rule] = {}

COMPOSITES: dict[Callable[..., Any], Callable[..., Any]] = {}
"""The same operation, written with others."""

PLAIN: set[Callable[..., Any]] = set()
"""Operations whose results are constants for a gradient."""

UFUNC_REDUCTIONS: dict[tuple[np.ufunc, str], Callable[..., Any]] = {
    (np.add, "reduce"): np.sum,
    (np.multiply, "reduce"): np.prod,
    (np.maximum, "reduce"): np.max,
    (np.minimum, "reduce"): np.min,
    (np.add, "accumulate"): np.cumsum,
    (np.multiply, "accumulate"): np.cumprod,
}

TAKES_MEMORY: set[Gradient] = set()
"""Gradients that take `into`: memory to write the result to."""


def rule(function: Callable[..., Any], *gradients: Gradient | None) -> None:
    """Say the gradients of the arguments of an operation.

    Args:
        function: of NumPy, or a `primitive`.
        gradients: of the arguments in their order. Each takes the gradient of the result, the result, and all
            arguments; and returns an array of the shape and dtype of its argument.
    """
    RULES[function] = Rule(gradients)


def composite(function: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say how an operation is written with others."""

    def register(written: Callable[..., Any]) -> Callable[..., Any]:
        COMPOSITES[function] = written
        return written

    return register


def plain_result(functions: Iterable[Any]) -> None:
    """Say of which operations the results are constants."""
    PLAIN.update(each for each in functions if each is not None)


class Dispatch:
    """What the modules above register themselves as.

    Attributes:
        apply: calls an operation on tensors, and records it.
        apply_ufunc: likewise, a ufunc without other arguments than its operands.
        reduced: likewise, methods of ufuncs.
        tensor: the class of tensors.
        tape: that of tapes.
    """

    apply: Callable[..., Any]
    apply_ufunc: Callable[..., Any]
    reduced: Callable[..., Any]
    tensor: type
    tape: Any


def primitive(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operation that NumPy has no function for: recorded as NumPy's are."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for each in args:
            first = each[0] if type(each) is tuple and each else each
            if isinstance(first, (Dispatch.tensor, Readable)):
                return Dispatch.apply(call, args, kwargs)
        return function(*args, **kwargs)

    return call


@primitive
def astype(array: Array, dtype: np.dtype[Any]) -> Array:
    """The elements in another dtype."""
    return array.astype(dtype)


def like(gradient: Any, operand: Any) -> Any:
    """A gradient in the shape and dtype of an operand that was broadcast: summed over what it was repeated for."""
    shape = operand.shape
    if gradient.shape != shape:
        more = gradient.ndim - len(shape)
        axes = tuple(range(more))
        if gradient.shape[more:] != shape:
            axes += tuple(
                [axis + more for axis, size in enumerate(shape) if gradient.shape[axis + more] != size == 1]
            )
        if axes:
            gradient = np.add.reduce(gradient, axis=axes)
        if gradient.shape != shape:
            is_whole = gradient.size == math.prod(shape)
            gradient = np.reshape(gradient, shape) if is_whole else np.broadcast_to(gradient, shape)
    return gradient if gradient.dtype == operand.dtype else astype(gradient, operand.dtype)


rule(astype, lambda d, y, x, dtype: astype(d, x.dtype))
