"""Gradients of choosing elements: by index, by mask, by order."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.autodiff.operations import composite, like, primitive, rule
from distrib.autodiff.recorder import refuse
from distrib.base.arrays import Array


@primitive
def item_of(array: Array, key: Any) -> Any:
    """`array[key]`."""
    return array[_plain_key(key)]


@primitive
def scattered(parts: Array, key: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of a shape, to which `parts` are added where `key` finds them: the transpose of `item_of`."""
    array = np.zeros(shape, parts.dtype)
    key = _plain_key(key)
    if _comes_twice(key):
        np.add.at(array, key, parts)
    else:
        array[key] = parts
    return array


def _plain_key(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(map(_plain_key, key))
    return np.asarray(key) if isinstance(key, np.ndarray) or hasattr(key, "__array__") else key


def _comes_twice(key: Any) -> bool:
    """Whether an element may be chosen several times: by arrays of integers."""
    if isinstance(key, tuple):
        return any(map(_comes_twice, key))
    if isinstance(key, list | np.ndarray):
        return np.asarray(key).dtype.kind != "b"
    return False


rule(item_of, lambda d, y, array, key: scattered(d, key, array.shape))
rule(scattered, lambda d, y, parts, key, shape: item_of(d, key))


@composite(np.take)
def _take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    if mode != "raise":
        raise refuse(f"numpy.take with mode={mode!r}")
    if axis is None:
        return item_of(np.ravel(a), np.asarray(indices))
    return item_of(a, (slice(None),) * (axis % a.ndim) + (np.asarray(indices),))


@composite(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    if axis is None:
        return item_of(np.ravel(arr), np.asarray(indices))
    indices = np.asarray(indices)
    axis %= arr.ndim
    key = [
        indices
        if each == axis
        else np.arange(size).reshape([-1 if i == each else 1 for i in range(arr.ndim)])
        for each, size in enumerate(arr.shape)
    ]
    return item_of(arr, tuple(key))


@composite(np.compress)
def _compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    return np.take(a, np.flatnonzero(np.asarray(condition)), axis)


@composite(np.extract)
def _extract(condition: Any, arr: Any) -> Any:
    return item_of(np.ravel(arr), np.ravel(np.asarray(condition, bool)))


@composite(np.delete)
def _delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    arr, axis = (np.ravel(arr), 0) if axis is None else (arr, axis)
    return np.take(arr, np.delete(np.arange(arr.shape[axis]), obj), axis)


@composite(np.sort)
def _sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    return np.take_along_axis(a, np.argsort(np.asarray(a), axis=axis, kind=kind or "stable"), axis)


@composite(np.partition)
def _partition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    return np.take_along_axis(a, np.argpartition(np.asarray(a), kth, axis=axis), axis)


@composite(np.median)
def _median(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    moved = np.ravel(a) if axis is None else np.moveaxis(a, axis, -1)
    ordered, size = np.sort(moved, axis=-1), moved.shape[-1]
    middle = (ordered[..., (size - 1) // 2] + ordered[..., size // 2]) / 2
    if not keepdims:
        return middle
    return np.reshape(middle, (1,) * a.ndim) if axis is None else np.expand_dims(middle, axis)


def _chosen(d: Any, y: Any, condition: Any, x: Any, other: Any) -> Any:
    return like(np.where(condition, d, 0).astype(d.dtype), x)


def _other(d: Any, y: Any, condition: Any, x: Any, other: Any) -> Any:
    return like(np.where(condition, 0, d).astype(d.dtype), other)


rule(np.where, None, _chosen, _other)
