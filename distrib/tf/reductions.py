"""Sums, means and extremes along axes, with TensorFlow's names: of arrays, of which they make tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.base.tensor import as_tensor
from distrib.tf.elementwise import tensor_of

__all__ = [
    "argmax",
    "argmin",
    "norm",
    "reduce_all",
    "reduce_any",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_prod",
    "reduce_sum",
]


def axes_of(axis: Any) -> Any:
    """Axes as NumPy takes them."""
    return axis if axis is None or isinstance(axis, int | np.integer) else tuple(int(each) for each in axis)


def _mean(array: Array, axis: Any, keepdims: bool) -> Array:
    mean = np.mean(array, axis=axes_of(axis), keepdims=keepdims)
    return np.asarray(mean, array.dtype)  # that of ints is an int, as in TensorFlow


@checked
def reduce_max(
    input_tensor: ArrayLike, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Array:
    """The largest element along axes; of all by default."""
    return as_tensor(np.max(tensor_of(input_tensor), axis=axes_of(axis), keepdims=keepdims))


@checked
def reduce_min(
    input_tensor: ArrayLike, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Array:
    """The smallest element along axes; of all by default."""
    return as_tensor(np.min(tensor_of(input_tensor), axis=axes_of(axis), keepdims=keepdims))


@checked
def reduce_prod(
    input_tensor: ArrayLike, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Array:
    """The product along axes; of all by default."""
    return as_tensor(np.prod(tensor_of(input_tensor), axis=axes_of(axis), keepdims=keepdims))


@checked
def reduce_any(
    input_tensor: ArrayLike, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Array:
    """Whether one is true along axes; of all by default."""
    return as_tensor(np.any(tensor_of(input_tensor), axis=axes_of(axis), keepdims=keepdims))


@checked
def reduce_all(
    input_tensor: ArrayLike, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Array:
    """Whether all are true along axes; of all by default."""
    return as_tensor(np.all(tensor_of(input_tensor), axis=axes_of(axis), keepdims=keepdims))


@checked
def reduce_sum(
    input_tensor: ArrayLike, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Array:
    """The sum along axes; of all by default. Its dtype is that of the elements."""
    array = tensor_of(input_tensor)
    return as_tensor(np.sum(array, axis=axes_of(axis), keepdims=keepdims, dtype=array.dtype))


@checked
def reduce_mean(
    input_tensor: ArrayLike, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Array:
    """The mean along axes; of all by default. Its dtype is that of the elements."""
    return as_tensor(_mean(tensor_of(input_tensor), axis, keepdims))


@checked
def argmax(input: ArrayLike, axis: int = 0, output_type: Any = np.int64, name: str | None = None) -> Array:
    """The index of the largest element along an axis, the first by default, as in TensorFlow."""
    return as_tensor(np.argmax(tensor_of(input), axis=axis).astype(output_type))


@checked
def argmin(input: ArrayLike, axis: int = 0, output_type: Any = np.int64, name: str | None = None) -> Array:
    """The index of the smallest element along an axis, the first by default, as in TensorFlow."""
    return as_tensor(np.argmin(tensor_of(input), axis=axis).astype(output_type))


@checked
def norm(tensor: ArrayLike, ord: Any = "euclidean", axis: Any = None, keepdims: bool = False) -> Array:
    """A norm of vectors along an axis; of all elements by default."""
    array = tensor_of(tensor)
    kind = 2 if ord == "euclidean" else ord
    if axis is None:
        array, axis = array.reshape(-1), 0
    return as_tensor(np.linalg.norm(array, kind, axis, keepdims))
