"""Gradients of decompositions, inverses, diagonals and norms of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.autodiff.operations import composite, like, plain_result, rule
from distrib.autodiff.recorder import refuse


def _turned(matrices: Any) -> Any:
    return np.swapaxes(matrices, -1, -2)


rule(np.linalg.inv, lambda d, y, a: -np.matmul(np.matmul(_turned(y), d), _turned(y)))
rule(np.linalg.det, lambda d, y, a: np.expand_dims(d * y, (-1, -2)) * _turned(np.linalg.inv(a)))


def _coefficients(d: Any, y: Any, a: Any, b: Any) -> Any:
    right = np.linalg.solve(_turned(a), d)
    if b.ndim == 1:
        return like(-np.expand_dims(right, -1) * y, a)
    return like(-np.matmul(right, _turned(y)), a)


rule(np.linalg.solve, _coefficients, lambda d, y, a, b: like(np.linalg.solve(_turned(a), d), b))


def _cholesky(d: Any, y: Any, a: Any) -> Any:
    """Murray (2016), "Differentiation of the Cholesky decomposition", equation 10, symmetric."""
    half = np.tril(np.matmul(_turned(y), d))
    half = half - 0.5 * half * np.eye(y.shape[-1], dtype=y.dtype)
    inverse = np.linalg.inv(y)
    found = np.matmul(np.matmul(_turned(inverse), half), inverse)
    return (found + _turned(found)) / 2


rule(np.linalg.cholesky, _cholesky)


rule(np.tril, lambda d, y, m, k=0: np.tril(d, k))
rule(np.triu, lambda d, y, m, k=0: np.triu(d, k))


@composite(np.diagonal)
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    moved = np.moveaxis(a, (axis1, axis2), (-2, -1))
    rows, columns = moved.shape[-2:]
    count = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    index = np.arange(count)
    return moved[..., index - min(offset, 0), index + max(offset, 0)]


@composite(np.trace)
def _trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1)


@composite(np.diag)
def _diag(v: Any, k: int = 0) -> Any:
    if np.ndim(v) == 2:
        return np.diagonal(v, k)
    size = len(v) + abs(k)
    padded = np.pad(v, (max(k, 0), max(-k, 0)))
    return np.expand_dims(padded, 0) * np.eye(size, k=k, dtype=v.dtype)


@composite(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Norms of vectors, and the Frobenius norm: the square root of a sum of squares has no gradient at 0, where the
    gradient is 0 here.
    """
    is_vector = (axis is None and np.ndim(x) == 1) or isinstance(axis, int | np.integer)
    if ord in (None, "fro") or (ord == 2 and is_vector):
        square = np.sum(np.square(x), axis=axis, keepdims=keepdims)
        is_zero = np.asarray(square) == 0
        return np.where(is_zero, 0 * square, np.sqrt(np.where(is_zero, 1 + 0 * square, square)))
    if is_vector and ord == 1:
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    if is_vector and ord == np.inf:
        return np.max(np.abs(x), axis=axis, keepdims=keepdims)
    if is_vector and ord == -np.inf:
        return np.min(np.abs(x), axis=axis, keepdims=keepdims)
    if is_vector and isinstance(ord, int | float):
        return np.sum(np.abs(x) ** ord, axis=axis, keepdims=keepdims) ** (1 / ord)
    raise refuse(f"numpy.linalg.norm with ord={ord!r} of matrices")


plain_result([np.linalg.matrix_rank, np.linalg.cond])
