"""Operations on elements, and products of matrices, with TensorFlow's names: of arrays they make tensors."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from distrib.autodiff.tensor import Tensor, as_tensor
from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.nn.variable import Variable, constant

__all__ = [
    "abs",
    "add",
    "ceil",
    "clip_by_value",
    "cos",
    "divide",
    "equal",
    "exp",
    "floor",
    "floordiv",
    "greater",
    "greater_equal",
    "is_finite",
    "is_nan",
    "less",
    "less_equal",
    "log",
    "logical_and",
    "logical_not",
    "logical_or",
    "matmul",
    "maximum",
    "minimum",
    "mod",
    "multiply",
    "negative",
    "not_equal",
    "pow",
    "round",
    "sign",
    "sin",
    "sqrt",
    "square",
    "subtract",
    "tanh",
]


def tensor_of(value: Any, dtype: Any = None) -> Array:
    """A tensor; Python floats become float32 and ints int32, as in TensorFlow. Tapes know it still."""
    if isinstance(value, Variable):
        value = value.read()
    elif isinstance(value, list | tuple) and any(isinstance(each, Tensor | Variable) for each in value):
        value = np.stack([tensor_of(each) for each in value])
    if isinstance(value, np.ndarray | np.generic) and (dtype is None or value.dtype == np.dtype(dtype)):
        return as_tensor(value)
    if isinstance(value, Tensor):
        return cast(Array, value.astype(dtype))
    return as_tensor(constant(value, dtype=dtype))


@checked
def abs(x: ArrayLike, name: str | None = None) -> Array:
    """The absolute value."""
    return as_tensor(np.abs(tensor_of(x)))


@checked
def negative(x: ArrayLike, name: str | None = None) -> Array:
    """The opposite."""
    return as_tensor(np.negative(tensor_of(x)))


@checked
def sign(x: ArrayLike, name: str | None = None) -> Array:
    """-1, 0 or 1."""
    return as_tensor(np.sign(tensor_of(x)))


@checked
def square(x: ArrayLike, name: str | None = None) -> Array:
    """The square."""
    return as_tensor(np.square(tensor_of(x)))


@checked
def sqrt(x: ArrayLike, name: str | None = None) -> Array:
    """The square root."""
    return as_tensor(np.sqrt(tensor_of(x)))


@checked
def exp(x: ArrayLike, name: str | None = None) -> Array:
    """The exponential."""
    return as_tensor(np.exp(tensor_of(x)))


@checked
def log(x: ArrayLike, name: str | None = None) -> Array:
    """The natural logarithm."""
    return as_tensor(np.log(tensor_of(x)))


@checked
def sin(x: ArrayLike, name: str | None = None) -> Array:
    """The sine."""
    return as_tensor(np.sin(tensor_of(x)))


@checked
def cos(x: ArrayLike, name: str | None = None) -> Array:
    """The cosine."""
    return as_tensor(np.cos(tensor_of(x)))


@checked
def tanh(x: ArrayLike, name: str | None = None) -> Array:
    """The hyperbolic tangent."""
    return as_tensor(np.tanh(tensor_of(x)))


@checked
def floor(x: ArrayLike, name: str | None = None) -> Array:
    """The largest integer that is not above."""
    return as_tensor(np.floor(tensor_of(x)))


@checked
def ceil(x: ArrayLike, name: str | None = None) -> Array:
    """The smallest integer that is not below."""
    return as_tensor(np.ceil(tensor_of(x)))


@checked
def round(x: ArrayLike, name: str | None = None) -> Array:
    """The nearest integer; halves to even."""
    return as_tensor(np.round(tensor_of(x)))


@checked
def logical_not(x: ArrayLike, name: str | None = None) -> Array:
    """Whether it is false."""
    return as_tensor(np.logical_not(tensor_of(x)))


@checked
def is_nan(x: ArrayLike, name: str | None = None) -> Array:
    """Whether it is NaN."""
    return as_tensor(np.isnan(tensor_of(x)))


@checked
def is_finite(x: ArrayLike, name: str | None = None) -> Array:
    """Whether it is finite."""
    return as_tensor(np.isfinite(tensor_of(x)))


@checked
def add(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """The sum."""
    return as_tensor(np.add(tensor_of(x), tensor_of(y)))


@checked
def subtract(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """The difference."""
    return as_tensor(np.subtract(tensor_of(x), tensor_of(y)))


@checked
def multiply(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """The product."""
    return as_tensor(np.multiply(tensor_of(x), tensor_of(y)))


@checked
def divide(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """The quotient."""
    return as_tensor(np.true_divide(tensor_of(x), tensor_of(y)))


@checked
def pow(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """`x` to the power of `y`."""
    return as_tensor(np.power(tensor_of(x), tensor_of(y)))


@checked
def maximum(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """The larger one."""
    return as_tensor(np.maximum(tensor_of(x), tensor_of(y)))


@checked
def minimum(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """The smaller one."""
    return as_tensor(np.minimum(tensor_of(x), tensor_of(y)))


@checked
def equal(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """Whether they are equal."""
    return as_tensor(np.equal(tensor_of(x), tensor_of(y)))


@checked
def not_equal(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """Whether they differ."""
    return as_tensor(np.not_equal(tensor_of(x), tensor_of(y)))


@checked
def less(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """Whether `x` is smaller."""
    return as_tensor(np.less(tensor_of(x), tensor_of(y)))


@checked
def less_equal(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """Whether `x` is not larger."""
    return as_tensor(np.less_equal(tensor_of(x), tensor_of(y)))


@checked
def greater(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """Whether `x` is larger."""
    return as_tensor(np.greater(tensor_of(x), tensor_of(y)))


@checked
def greater_equal(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """Whether `x` is not smaller."""
    return as_tensor(np.greater_equal(tensor_of(x), tensor_of(y)))


@checked
def logical_and(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """Whether both are true."""
    return as_tensor(np.logical_and(tensor_of(x), tensor_of(y)))


@checked
def logical_or(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """Whether one is true."""
    return as_tensor(np.logical_or(tensor_of(x), tensor_of(y)))


@checked
def floordiv(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """The quotient, rounded down."""
    return as_tensor(np.floor_divide(tensor_of(x), tensor_of(y)))


@checked
def mod(x: ArrayLike, y: ArrayLike, name: str | None = None) -> Array:
    """The rest of the division."""
    return as_tensor(np.mod(tensor_of(x), tensor_of(y)))


@checked
def clip_by_value(
    t: ArrayLike, clip_value_min: ArrayLike, clip_value_max: ArrayLike, name: str | None = None
) -> Array:
    """Elements between two bounds."""
    array = tensor_of(t)
    return as_tensor(np.clip(array, tensor_of(clip_value_min), tensor_of(clip_value_max)).astype(array.dtype))


@checked
def matmul(
    a: ArrayLike, b: ArrayLike, transpose_a: bool = False, transpose_b: bool = False, name: str | None = None
) -> Array:
    """The product of matrices, which are the last two axes."""
    left, right = tensor_of(a), tensor_of(b)
    left = np.swapaxes(left, -1, -2) if transpose_a else left
    right = np.swapaxes(right, -1, -2) if transpose_b else right
    return as_tensor(np.matmul(left, right))
