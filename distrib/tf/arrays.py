"""Making, shaping and choosing, with TensorFlow's names: on arrays, of which they make tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.autodiff.tensor import as_tensor
from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.nn.variable import Variable
from distrib.tf.elementwise import tensor_of

__all__ = [
    *(
        "boolean_mask",
        "cast",
        "concat",
        "convert_to_tensor",
        "expand_dims",
        "eye",
        "fill",
        "gather",
        "identity",
    ),
    *(
        "linspace",
        "one_hot",
        "ones",
        "ones_like",
        "pad",
        "range",
        "rank",
        "repeat",
        "reshape",
        "reverse",
        "shape",
    ),
    *(
        "size",
        "sort",
        "split",
        "squeeze",
        "stack",
        "tile",
        "transpose",
        "unstack",
        "where",
        "zeros",
        "zeros_like",
    ),
]


def _taken(value: ArrayLike, dtype: Any = None) -> Array:
    """A tensor that does not change with the variable whose value it is."""
    found = tensor_of(value, dtype)
    return np.copy(found) if isinstance(value, Variable) else found


@checked
def cast(x: ArrayLike, dtype: Any, name: str | None = None) -> Array:
    """The same elements in another dtype; fractions are cut off."""
    return as_tensor(tensor_of(x).astype(dtype))


@checked
def convert_to_tensor(value: ArrayLike, dtype: Any = None, name: str | None = None) -> Array:
    """A tensor; Python floats become float32 and ints int32 by default."""
    return _taken(value, dtype)


@checked
def identity(input: ArrayLike, name: str | None = None) -> Array:
    """A copy."""
    return as_tensor(np.copy(tensor_of(input)))


@checked
def zeros(shape: Any, dtype: Any = np.float32, name: str | None = None) -> Array:
    """Zeros."""
    return as_tensor(np.zeros(shape, dtype))


@checked
def ones(shape: Any, dtype: Any = np.float32, name: str | None = None) -> Array:
    """Ones."""
    return as_tensor(np.ones(shape, dtype))


@checked
def fill(dims: Any, value: ArrayLike, name: str | None = None) -> Array:
    """One value everywhere."""
    return as_tensor(np.full(dims, tensor_of(value)))


@checked
def zeros_like(input: ArrayLike, dtype: Any = None, name: str | None = None) -> Array:
    """Zeros of the same shape."""
    return as_tensor(np.zeros_like(tensor_of(input), dtype))


@checked
def ones_like(input: ArrayLike, dtype: Any = None, name: str | None = None) -> Array:
    """Ones of the same shape."""
    return as_tensor(np.ones_like(tensor_of(input), dtype))


@checked
def eye(
    num_rows: int, num_columns: int | None = None, dtype: Any = np.float32, name: str | None = None
) -> Array:
    """The unit matrix."""
    return as_tensor(np.eye(num_rows, num_columns, dtype=dtype))


@checked
def range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = None) -> Array:
    """Numbers from `start`, or 0, to before `limit`."""
    begin, end = (0, start) if limit is None else (start, limit)
    if dtype is None:
        dtype = (
            np.int32
            if all(isinstance(each, int | np.integer) for each in (begin, end, delta))
            else np.float32
        )
    return as_tensor(np.arange(begin, end, delta, dtype=dtype))


@checked
def linspace(start: Any, stop: Any, num: int, name: str | None = None, axis: int = 0) -> Array:
    """Evenly spread numbers, both ends among them."""
    return as_tensor(
        np.linspace(tensor_of(start), tensor_of(stop), num, axis=axis, dtype=tensor_of(start).dtype)
    )


@checked
def one_hot(
    indices: ArrayLike,
    depth: int,
    on_value: Any = None,
    off_value: Any = None,
    axis: int | None = None,
    dtype: Any = None,
    name: str | None = None,
) -> Array:
    """Vectors that are `on_value` at the index and `off_value` elsewhere; an index outside gives `off_value` only."""
    on, off = 1 if on_value is None else on_value, 0 if off_value is None else off_value
    hits = tensor_of(indices)[..., None] == np.arange(depth)
    hot = np.where(hits, on, off).astype(np.float32 if dtype is None else dtype)
    return as_tensor(hot if axis is None else np.moveaxis(hot, -1, axis))


@checked
def reshape(tensor: ArrayLike, shape: Any, name: str | None = None) -> Array:
    """The same elements in another shape; one size may be -1."""
    return as_tensor(_taken(tensor).reshape(tuple(np.atleast_1d(shape).tolist())))


@checked
def concat(values: Sequence[ArrayLike], axis: int, name: str | None = None) -> Array:
    """Arrays one behind the other."""
    return as_tensor(np.concatenate([tensor_of(each) for each in values], axis))


@checked
def stack(values: Sequence[ArrayLike], axis: int = 0, name: str | None = None) -> Array:
    """Arrays along a new axis."""
    return as_tensor(np.stack([tensor_of(each) for each in values], axis))


@checked
def unstack(value: ArrayLike, num: int | None = None, axis: int = 0, name: str | None = None) -> list[Array]:
    """The parts along an axis."""
    return [as_tensor(each) for each in np.moveaxis(_taken(value), axis, 0)]


@checked
def split(value: ArrayLike, num_or_size_splits: Any, axis: int = 0, name: str | None = None) -> list[Array]:
    """Equal parts, or parts of these sizes."""
    if np.ndim(num_or_size_splits):
        num_or_size_splits = np.cumsum(num_or_size_splits)[:-1]
    return [as_tensor(each) for each in np.split(_taken(value), num_or_size_splits, axis)]


@checked
def expand_dims(input: ArrayLike, axis: int, name: str | None = None) -> Array:
    """With a new axis of size 1."""
    return as_tensor(np.expand_dims(_taken(input), axis))


@checked
def squeeze(input: ArrayLike, axis: Any = None, name: str | None = None) -> Array:
    """Without axes of size 1."""
    return as_tensor(np.squeeze(_taken(input), axis if axis is None else tuple(np.atleast_1d(axis).tolist())))


@checked
def transpose(a: ArrayLike, perm: Any = None, conjugate: bool = False, name: str = "transpose") -> Array:
    """The axes in another order; reversed by default."""
    return as_tensor(np.transpose(_taken(a), perm))


@checked
def where(condition: ArrayLike, x: Any = None, y: Any = None, name: str | None = None) -> Array:
    """Elements of `x` where the condition holds, else of `y`; without these the indices where it holds."""
    if x is None and y is None:
        return as_tensor(np.argwhere(tensor_of(condition)))
    return as_tensor(np.where(tensor_of(condition), tensor_of(x), tensor_of(y)))


@checked
def gather(params: ArrayLike, indices: ArrayLike, axis: int = 0, name: str | None = None) -> Array:
    """Slices by their indices along an axis."""
    return as_tensor(np.take(tensor_of(params), tensor_of(indices), axis))


@checked
def boolean_mask(tensor: ArrayLike, mask: ArrayLike, axis: int = 0, name: str = "boolean_mask") -> Array:
    """The elements where the mask is true."""
    return (
        as_tensor(np.compress(np.asarray(mask).reshape(-1), tensor_of(tensor), axis))
        if np.ndim(mask) == 1
        else (as_tensor(tensor_of(tensor)[np.asarray(mask, bool)]))
    )


@checked
def tile(input: ArrayLike, multiples: Any, name: str | None = None) -> Array:
    """Repeated along each axis."""
    return as_tensor(np.tile(tensor_of(input), multiples))


@checked
def repeat(input: ArrayLike, repeats: Any, axis: int | None = None, name: str | None = None) -> Array:
    """Each element repeated."""
    return as_tensor(np.repeat(tensor_of(input), repeats, axis))


@checked
def pad(
    tensor: ArrayLike,
    paddings: Any,
    mode: str = "CONSTANT",
    constant_values: Any = 0,
    name: str | None = None,
) -> Array:
    """With elements before and behind along each axis."""
    kind = mode.lower()
    options = {"constant_values": constant_values} if kind == "constant" else {}
    return as_tensor(np.pad(tensor_of(tensor), np.asarray(paddings), kind, **options))  # type: ignore[call-overload]


@checked
def reverse(tensor: ArrayLike, axis: Any, name: str | None = None) -> Array:
    """The other way round along axes."""
    return as_tensor(np.flip(_taken(tensor), tuple(np.atleast_1d(axis).tolist())))


@checked
def sort(values: ArrayLike, axis: int = -1, direction: str = "ASCENDING", name: str | None = None) -> Array:
    """In order along an axis."""
    found = np.sort(tensor_of(values), axis)
    return as_tensor(np.flip(found, axis) if direction == "DESCENDING" else found)


@checked
def shape(input: ArrayLike, out_type: Any = np.int32, name: str | None = None) -> Array:
    """The shape, as a vector."""
    return as_tensor(np.array(tensor_of(input).shape, out_type))


@checked
def size(input: ArrayLike, out_type: Any = np.int32, name: str | None = None) -> Array:
    """Number of elements."""
    return as_tensor(np.array(tensor_of(input).size, out_type))


@checked
def rank(input: ArrayLike, name: str | None = None) -> Array:
    """Number of axes."""
    return as_tensor(np.array(tensor_of(input).ndim, np.int32))
