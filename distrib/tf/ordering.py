"""Sorting, searching and running sums, with TensorFlow's names: of arrays, of which they make tensors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from distrib.autodiff.tensor import as_tensor
from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.tf.elementwise import tensor_of

__all__ = [
    "argsort",
    "bincount",
    "cumprod",
    "cumsum",
    "searchsorted",
    "top_k",
    "unique",
    "unique_with_counts",
]


class TopK(NamedTuple):
    """The largest elements along the last axis, and where they are."""

    values: Array
    indices: Array


class Unique(NamedTuple):
    """Different elements in the order of their first occurrence, and which of them each element is."""

    y: Array
    idx: Array


class UniqueWithCounts(NamedTuple):
    """See `Unique`; and how often each occurs."""

    y: Array
    idx: Array
    count: Array  # type: ignore[assignment]  # the name that TensorFlow has, and tuples have a method of


@checked
def argsort(
    values: ArrayLike,
    axis: int = -1,
    direction: str = "ASCENDING",
    stable: bool = False,
    name: str | None = None,
) -> Array:
    """The indices that sort along an axis, int32; equal elements stay in their order.

    Raises:
        ConfigError: `direction` is neither `"ASCENDING"` nor `"DESCENDING"`.
    """
    array = tensor_of(values)
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ConfigError(f'argsort expects direction "ASCENDING" or "DESCENDING". Received: {direction!r}.')
    if direction == "ASCENDING":
        return as_tensor(np.argsort(array, axis=axis, kind="stable").astype(np.int32))
    # Backwards twice: equal elements stay in their order.
    flipped = np.argsort(np.flip(array, axis), axis=axis, kind="stable")
    return as_tensor(np.flip(array.shape[axis] - 1 - flipped, axis).astype(np.int32))


@checked
def top_k(input: ArrayLike, k: int = 1, sorted: bool = True, name: str | None = None) -> TopK:
    """The `k` largest elements along the last axis, the largest first; of equal ones the first.

    Raises:
        ConfigError: there are not so many.
    """
    array = tensor_of(input)
    if not 0 <= k <= (array.shape[-1] if array.ndim else 0):
        raise ConfigError(
            f"top_k expects 0 <= k <= the size of the last axis. Received: k={k}, shape {array.shape}."
        )
    indices = argsort(array, direction="DESCENDING")[..., :k]
    return TopK(as_tensor(np.take_along_axis(array, indices, -1)), as_tensor(indices))


@checked
def unique(x: ArrayLike, out_idx: Any = np.int32, name: str | None = None) -> Unique:
    """The different elements of a vector, in the order of their first occurrence."""
    y, idx, _ = unique_with_counts(x, out_idx)
    return Unique(y, idx)


@checked
def unique_with_counts(x: ArrayLike, out_idx: Any = np.int32, name: str | None = None) -> UniqueWithCounts:
    """The different elements of a vector, in the order of their first occurrence, and how often each occurs."""
    y, first, inverse, counts = np.unique(
        tensor_of(x), return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return UniqueWithCounts(
        as_tensor(y[order]),
        as_tensor(rank[inverse].astype(out_idx)),
        as_tensor(counts[order].astype(out_idx)),
    )


def _running(array: Array, axis: int, exclusive: bool, reverse: bool, sums: Any, neutral: int) -> Array:
    if reverse:
        array = np.flip(array, axis)
    found = sums(array, axis=axis)
    if exclusive:
        first = np.full_like(np.take(array, [0], axis), neutral)
        found = np.concatenate([first, np.take(found, range(array.shape[axis] - 1), axis)], axis)
    return as_tensor(np.flip(found, axis) if reverse else found)


@checked
def cumsum(
    x: ArrayLike, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None
) -> Array:
    """Running sums along an axis; `exclusive`, without the element itself; `reverse`, from the end."""
    return _running(tensor_of(x), axis, exclusive, reverse, np.cumsum, 0)


@checked
def cumprod(
    x: ArrayLike, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None
) -> Array:
    """Running products along an axis; see `cumsum`."""
    return _running(tensor_of(x), axis, exclusive, reverse, np.cumprod, 1)


@checked
def bincount(
    arr: ArrayLike,
    weights: Any = None,
    minlength: int | None = None,
    maxlength: int | None = None,
    dtype: Any = np.int32,
    name: str | None = None,
) -> Array:
    """How often each number 0, 1, ... occurs; with `weights`, the sums of those, in their dtype."""
    summed = None if weights is None else tensor_of(weights)
    counts = np.bincount(
        tensor_of(arr).reshape(-1), None if summed is None else summed.reshape(-1), minlength or 0
    )
    return as_tensor(counts[:maxlength].astype(dtype if summed is None else summed.dtype))


@checked
def searchsorted(
    sorted_sequence: ArrayLike, values: ArrayLike, side: str = "left", out_type: Any = np.int32
) -> Array:
    """Where values would be inserted in a sorted vector.

    Raises:
        ConfigError: `side` is neither `"left"` nor `"right"`, or the sequence is no vector.
    """
    sequence = tensor_of(sorted_sequence)
    if side not in ("left", "right") or sequence.ndim != 1:
        raise ConfigError(f'searchsorted expects a vector and side "left" or "right". Received: {side!r}.')
    found = np.searchsorted(sequence, tensor_of(values), "left" if side == "left" else "right")
    return as_tensor(np.asarray(found).astype(out_type))
