"""Gradients of sums, means, extremes and running sums along axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrib.autodiff.operations import Dispatch, composite, like, plain_result, rule


def _axes(a: Any, axis: Any) -> tuple[int, ...]:
    """The axes that are combined, from 0 on."""
    if axis is None:
        return tuple(range(a.ndim))
    given = axis if isinstance(axis, tuple | list) else (axis,)
    return tuple(int(each) % a.ndim for each in given)


def _spread(reduced: Any, a: Any, axis: Any, keepdims: Any) -> Any:
    """What was combined along axes, with these again, of size 1."""
    is_kept = keepdims is True or (keepdims is not np._NoValue and bool(keepdims))
    return reduced if is_kept or not a.ndim else np.expand_dims(reduced, _axes(a, axis))


def _repeated(reduced: Any, a: Any, axis: Any, keepdims: Any) -> Any:
    """The gradient of a sum as that of what was summed: the same number for all, which takes no memory."""
    if axis is None and not isinstance(reduced, Dispatch.tensor):  # a loss, usually: faster, and not recorded
        return np.ndarray(a.shape, reduced.dtype, np.asarray(reduced), strides=(0,) * a.ndim)
    return np.broadcast_to(_spread(reduced, a, axis, keepdims), a.shape)


def _count(a: Any, axis: Any) -> int:
    return a.size if axis is None else math.prod([a.shape[each] for each in _axes(a, axis)])


def _sum(
    d: Any, y: Any, a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False
) -> Any:
    return like(_repeated(d, a, axis, keepdims), a)


def _mean(
    d: Any, y: Any, a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False
) -> Any:
    return like(_repeated(d / _count(a, axis), a, axis, keepdims), a)


def _extreme(d: Any, y: Any, a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    """Elements that are equally large share the gradient, as in TensorFlow."""
    found = a == _spread(y, a, axis, keepdims)
    shares = found / np.sum(found, axis=axis if axis is None else _axes(a, axis), keepdims=True)
    return like(shares.astype(d.dtype) * _spread(d, a, axis, keepdims), a)


rule(np.sum, _sum)
rule(np.mean, _mean)
for _function in {np.max, np.min, np.amax, np.amin}:
    rule(_function, _extreme)


def _deviations(a: Any, axis: Any) -> Any:
    return a - np.mean(a, axis=axis, keepdims=True)


def _var(
    d: Any,
    y: Any,
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = False,
) -> Any:
    scale = 2 / (_count(a, axis) - ddof)
    return like(_spread(d, a, axis, keepdims) * (_deviations(a, axis) * scale), a)


def _std(
    d: Any,
    y: Any,
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = False,
) -> Any:
    scale = 1 / (_count(a, axis) - ddof)
    return like(_spread(d / y, a, axis, keepdims) * (_deviations(a, axis) * scale), a)


rule(np.var, _var)
rule(np.std, _std)


@composite(np.prod)
def _prod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    """Factor by factor in pairs, since a quotient has no gradient where a factor is 0."""
    axes = _axes(a, axis)
    kept = [each for each in range(a.ndim) if each not in axes]
    shape = [a.shape[each] for each in kept]
    factors = np.reshape(np.transpose(a, [*kept, *axes]), [*shape, _count(a, axis)])
    while factors.shape[-1] > 1:
        half = factors.shape[-1] // 2
        paired = factors[..., :half] * factors[..., half : 2 * half]
        rest = factors[..., 2 * half :]
        factors = np.concatenate([paired, rest], -1) if rest.shape[-1] else paired
    product = factors[..., 0] if factors.shape[-1] else np.ones(shape, a.dtype)
    return np.expand_dims(product, axes) if keepdims is True else product


def _along(a: Any, axis: Any) -> tuple[Any, int]:
    return (np.ravel(a), 0) if axis is None else (a, axis)


def _running(d: Any, axis: int) -> Any:
    return np.flip(np.cumsum(np.flip(d, axis), axis), axis)


rule(
    np.cumsum,
    lambda d, y, a, axis=None, dtype=None, out=None: like(np.reshape(_running(*_along(d, axis)), a.shape), a),
)


@composite(np.cumprod)
def _cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Products with what is 1, 2, 4, ... before (Hillis and Steele, 1986): differentiable where a factor is 0."""
    products, axis = _along(a, axis)
    distance, size = 1, products.shape[axis]
    while distance < size:
        ones = np.ones_like(np.take(np.asarray(products), range(distance), axis))
        before = np.concatenate([ones, np.take(products, range(size - distance), axis)], axis)
        products, distance = products * before, 2 * distance
    return products


@composite(np.ptp)
def _ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


@composite(np.average)
def _average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False
) -> Any:
    if weights is None:
        return np.mean(a, axis=axis, keepdims=keepdims is True)
    if np.ndim(weights) != np.ndim(a):
        shape = [size if each in _axes(a, axis) else 1 for each, size in enumerate(a.shape)]
        weights = np.reshape(weights, shape)
    total = np.sum(a * weights, axis=axis, keepdims=keepdims is True)
    return total / np.sum(weights + 0 * np.asarray(a), axis=axis, keepdims=keepdims is True)


@composite(np.nansum)
def _nansum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    return np.sum(np.where(np.isnan(a), 0, a).astype(a.dtype), axis=axis, keepdims=keepdims is True)


@composite(np.nanmean)
def _nanmean(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    count = np.sum(~np.isnan(np.asarray(a)), axis=axis, keepdims=keepdims is True)
    return np.nansum(a, axis=axis, keepdims=keepdims) / count.astype(a.dtype)


plain_result(
    [
        *(np.argmax, np.argmin, np.argsort, np.argpartition, np.any, np.all, np.count_nonzero, np.nonzero),
        *(np.argwhere, np.flatnonzero, np.unique, np.searchsorted, np.bincount, np.histogram, np.digitize),
        *(np.nanargmax, np.nanargmin, np.lexsort, np.percentile, np.quantile),
    ]
)
