"""Gradients of shaping, joining and cutting."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from distrib.autodiff.operations import RULES, Rule, composite, like, plain_result, rule
from distrib.autodiff.recorder import Gradient, refuse
from distrib.base.arrays import Array


def _reshaped(d: Any, y: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
    return np.reshape(d, a.shape)


for _function in (np.reshape, np.ravel, np.expand_dims, np.squeeze):
    rule(_function, _reshaped)
rule(np.broadcast_to, lambda d, y, array, shape, subok=False: like(d, array))
rule(np.copy, lambda d, y, a, *args, **kwargs: d)
rule(np.real, lambda d, y, val: d)
rule(np.swapaxes, lambda d, y, a, axis1, axis2: np.swapaxes(d, axis1, axis2))
rule(np.moveaxis, lambda d, y, a, source, destination: np.moveaxis(d, destination, source))
rule(np.flip, lambda d, y, m, axis=None: np.flip(d, axis))
rule(np.fliplr, lambda d, y, m: np.fliplr(d))
rule(np.flipud, lambda d, y, m: np.flipud(d))
rule(np.rot90, lambda d, y, m, k=1, axes=(0, 1): np.rot90(d, -k, axes))


def _transposed(d: Any, y: Any, a: Any, axes: Any = None) -> Any:
    return np.transpose(d, None if axes is None else np.argsort([axis % a.ndim for axis in axes]))


def _rolled(d: Any, y: Any, a: Any, shift: Any, axis: Any = None) -> Any:
    return np.roll(d, np.negative(shift), axis)


rule(np.transpose, _transposed)
rule(np.roll, _rolled)
if hasattr(np, "permute_dims"):
    rule(np.permute_dims, _transposed)


def _of_concatenated(arrays: Sequence[Array], axis: Any = 0, **kwargs: Any) -> list[Gradient]:
    if axis is None:
        raise refuse("numpy.concatenate with axis=None")
    ends = np.cumsum([0, *(each.shape[axis] for each in arrays)])
    before = (slice(None),) * (axis % arrays[0].ndim)
    keys = [(*before, slice(begin, end)) for begin, end in pairwise(ends)]
    return [lambda d, y, *parts, i=i, key=key: like(d[key], parts[i]) for i, key in enumerate(keys)]


def _of_stacked(arrays: Sequence[Array], axis: Any = 0, **kwargs: Any) -> list[Gradient]:
    before = (slice(None),) * (axis % (arrays[0].ndim + 1))
    return [lambda d, y, *parts, i=i: like(d[(*before, i)], parts[i]) for i in range(len(arrays))]


RULES[np.concatenate] = Rule((), _of_concatenated)
RULES[np.stack] = Rule((), _of_stacked)


@composite(np.vstack)
def _vstack(tup: Any, **kwargs: Any) -> Any:
    return np.concatenate([np.atleast_2d(each) for each in tup], 0)


@composite(np.hstack)
def _hstack(tup: Any, **kwargs: Any) -> Any:
    parts = [np.atleast_1d(each) for each in tup]
    return np.concatenate(parts, 0 if parts[0].ndim == 1 else 1)


@composite(np.dstack)
def _dstack(tup: Any) -> Any:
    return np.concatenate([np.atleast_3d(each) for each in tup], 2)


@composite(np.column_stack)
def _column_stack(tup: Any) -> Any:
    return np.concatenate([np.reshape(each, (-1, 1)) if np.ndim(each) < 2 else each for each in tup], 1)


@composite(np.append)
def _append(arr: Any, values: Any, axis: Any = None) -> Any:
    if axis is None:
        return np.concatenate([np.ravel(arr), np.ravel(values)])
    return np.concatenate([arr, values], axis)


@composite(np.atleast_1d)
def _atleast_1d(*arys: Any) -> Any:
    found = [np.reshape(each, (1,)) if np.ndim(each) == 0 else each for each in arys]
    return found[0] if len(found) == 1 else tuple(found)


@composite(np.atleast_2d)
def _atleast_2d(*arys: Any) -> Any:
    found = [np.reshape(each, (1, -1)) if np.ndim(each) < 2 else each for each in arys]
    return found[0] if len(found) == 1 else tuple(found)


@composite(np.atleast_3d)
def _atleast_3d(*arys: Any) -> Any:
    found = [
        np.reshape(each, (1, -1, 1)) if np.ndim(each) < 2 else each[..., None] if np.ndim(each) == 2 else each
        for each in arys
    ]
    return found[0] if len(found) == 1 else tuple(found)


@composite(np.array_split)
def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    numbers = np.array_split(np.arange(ary.shape[axis]), indices_or_sections)
    before = (slice(None),) * (axis % ary.ndim)
    begins = np.cumsum([0, *map(len, numbers)])
    return [ary[(*before, slice(begin, end))] for begin, end in pairwise(begins)]


@composite(np.split)
def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    if not np.ndim(indices_or_sections) and ary.shape[axis] % indices_or_sections:
        raise ValueError("array split does not result in an equal division")
    return np.array_split(ary, indices_or_sections, axis)


@composite(np.hsplit)
def _hsplit(ary: Any, indices_or_sections: Any) -> Any:
    return np.split(ary, indices_or_sections, 0 if ary.ndim == 1 else 1)


@composite(np.vsplit)
def _vsplit(ary: Any, indices_or_sections: Any) -> Any:
    return np.split(ary, indices_or_sections, 0)


@composite(np.tile)
def _tile(A: Any, reps: Any) -> Any:  # noqa: N803
    counts = [int(each) for each in np.atleast_1d(reps)]
    ndim = max(len(counts), A.ndim)
    counts = [1] * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - A.ndim) + A.shape
    doubled = [size for pair in zip(counts, shape, strict=True) for size in pair]
    spread = np.reshape(A, [size for each in shape for size in (1, each)])
    return np.reshape(np.broadcast_to(spread, doubled), [c * s for c, s in zip(counts, shape, strict=True)])


@composite(np.repeat)
def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    return np.take(a, np.repeat(np.arange(a.shape[axis]), np.asarray(repeats)), axis)


@composite(np.pad)
def _pad(array: Any, pad_width: Any, mode: str = "constant", **kwargs: Any) -> Any:
    widths = np.broadcast_to(np.asarray(pad_width, int), (array.ndim, 2))
    if mode == "constant":
        values = np.broadcast_to(np.asarray(kwargs.get("constant_values", 0)), (array.ndim, 2))
        for axis, (before, after) in enumerate(widths.tolist()):
            shape = list(array.shape)
            ends = []
            for count, value in zip((before, after), values[axis], strict=True):
                shape[axis] = count
                ends.append(np.full(shape, value, array.dtype))
            array = np.concatenate([ends[0], array, ends[1]], axis)
        return array
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise refuse(f"numpy.pad with mode={mode!r}")
    for axis, (before, after) in enumerate(widths.tolist()):
        array = np.take(array, np.pad(np.arange(array.shape[axis]), (before, after), mode, **kwargs), axis)  # type: ignore[call-overload]
    return array


@composite(np.diff)
def _diff(a: Any, n: int = 1, axis: int = -1, **kwargs: Any) -> Any:
    if kwargs:
        raise refuse("numpy.diff with prepend or append")
    before = (slice(None),) * (axis % a.ndim)
    for _ in range(n):
        a = a[(*before, slice(1, None))] - a[(*before, slice(None, -1))]
    return a


@composite(np.rollaxis)
def _rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    axis, start = axis % a.ndim, start + a.ndim if start < 0 else start
    return np.moveaxis(a, axis, start - 1 if axis < start else start)


plain_result(
    [
        *(
            np.zeros_like,
            np.ones_like,
            np.full_like,
            np.empty_like,
            np.shape,
            np.ndim,
            np.size,
            np.result_type,
        ),
        *(np.iscomplexobj, np.isrealobj, np.may_share_memory, np.shares_memory, np.can_cast, np.array_repr),
        *(np.array_str, np.array2string, np.save, np.savez, np.savetxt, np.broadcast_arrays),
        *(np.iscomplex, np.isreal, np.min_scalar_type, np.common_type, np.einsum_path),
    ]
)
