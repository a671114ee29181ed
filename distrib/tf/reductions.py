"""Sums, means and extremes along axes, with TensorFlow's names: of arrays, of which they make tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.autodiff.tensor import as_tensor
from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.tf.elementwise import tensor_of

__all__ = [
    "argmax",
    "argmin",
    "count_nonzero",
    "norm",
    "reduce_all",
    "reduce_any",
    "reduce_logsumexp",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_prod",
    "reduce_std",
    "reduce_sum",
    "reduce_variance",
]


def axes_of(axis: Any) -> Any:
    """Axes as NumPy takes them."""
    return axis if axis is None or isinstance(axis, int | np.integer) else tuple(int(each) for each in axis)


def _mean(array: Array, axis: Any, keepdims: bool) -> Array:
    mean = np.mean(array, axis=axes_of(axis), keepdims=keepdims)
    return as_tensor(mean).astype(array.dtype)  # that of ints is an int, as in TensorFlow


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
    total = np.sum(array, axis=axes_of(axis), keepdims=keepdims)
    return total.astype(array.dtype)  # type: ignore[no-any-return]


@checked
def reduce_mean(
    input_tensor: ArrayLike, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Array:
    """The mean along axes; of all by default. Its dtype is that of the elements."""
    return as_tensor(_mean(tensor_of(input_tensor), axis, keepdims))


@checked
def reduce_variance(
    input_tensor: ArrayLike, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Array:
    """The mean squared difference from the mean along axes; of all by default."""
    return as_tensor(np.var(tensor_of(input_tensor), axis=axes_of(axis), keepdims=keepdims))


@checked
def reduce_std(
    input_tensor: ArrayLike, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Array:
    """The standard deviation along axes, the square root of `reduce_variance`."""
    return as_tensor(np.std(tensor_of(input_tensor), axis=axes_of(axis), keepdims=keepdims))


@checked
def reduce_logsumexp(
    input_tensor: ArrayLike, axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Array:
    """`log(sum(exp(x)))` along axes, without overflow; of all by default."""
    array, axes = tensor_of(input_tensor), axes_of(axis)
    largest = np.max(np.asarray(array), axis=axes, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0).astype(array.dtype)
    found = np.log(np.sum(np.exp(array - largest), axis=axes, keepdims=True)) + largest
    return as_tensor(found if keepdims else np.squeeze(found, axes))


@checked
def count_nonzero(
    input: ArrayLike, axis: Any = None, keepdims: bool = False, dtype: Any = np.int64, name: str | None = None
) -> Array:
    """How many elements are not 0 along axes; of all by default."""
    counts = np.count_nonzero(tensor_of(input), axis=axes_of(axis), keepdims=keepdims)
    return as_tensor(np.asarray(counts).astype(dtype))


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
