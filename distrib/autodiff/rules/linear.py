"""Gradients of products of matrices, and of sums of products."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters
from typing import Any

import numpy as np

from distrib.autodiff.operations import (
    RULES,
    TAKES_MEMORY,
    Rule,
    composite,
    like,
    primitive,
    rule,
)
from distrib.autodiff.recorder import Gradient, refuse
from distrib.base.arrays import Array


def _turned(matrices: Any) -> Any:
    return matrices.swapaxes(-1, -2)


def _left(d: Any, y: Any, a: Any, b: Any) -> Any:
    if b.ndim == 1:
        return like(d * b if a.ndim == 1 else np.expand_dims(d, -1) * b, a)
    if a.ndim == 1:
        return like(np.matmul(b, np.expand_dims(d, -1))[..., 0], a)
    return like(np.matmul(d, _turned(b)), a)


def _right(d: Any, y: Any, a: Any, b: Any, into: Array | None = None) -> Any:
    if a.ndim == 1:
        return like(d * a if b.ndim == 1 else np.expand_dims(a, -1) * np.expand_dims(d, -2), b)
    if b.ndim == 1:
        return like(np.matmul(_turned(a), np.expand_dims(d, -1))[..., 0], b)
    if b.ndim == 2 and a.ndim > 2:  # one product of all rows
        a, d = np.reshape(a, (-1, a.shape[-1])), np.reshape(d, (-1, d.shape[-1]))
    if into is not None and a.ndim == 2 and into.dtype == d.dtype == a.dtype:
        return np.matmul(a.T, d, out=into)
    return like(np.matmul(_turned(a), d), b)


rule(np.matmul, _left, _right)
TAKES_MEMORY.add(_right)


@composite(np.dot)
def _dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    if np.ndim(b) <= 2:
        return np.matmul(a, b)
    return np.tensordot(a, b, ([-1], [-2]))


@composite(np.inner)
def _inner(a: Any, b: Any) -> Any:
    return np.multiply(a, b) if np.ndim(a) == 0 or np.ndim(b) == 0 else np.tensordot(a, b, ([-1], [-1]))


@composite(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    return np.matmul(np.ravel(a), np.ravel(b))


@composite(np.outer)
def _outer(a: Any, b: Any) -> Any:
    return np.expand_dims(np.ravel(a), 1) * np.ravel(b)


@composite(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    if isinstance(axes, int | np.integer):
        axes = (list(range(a.ndim - axes, a.ndim)), list(range(axes)))
    of_a, of_b = (
        [axis % operand.ndim for axis in np.atleast_1d(np.asarray(each, int)).tolist()]
        for each, operand in zip(axes, (a, b), strict=True)
    )
    kept_a = [axis for axis in range(a.ndim) if axis not in of_a]
    kept_b = [axis for axis in range(b.ndim) if axis not in of_b]
    size = int(np.prod([a.shape[axis] for axis in of_a]))
    left = np.reshape(
        np.transpose(a, kept_a + of_a), (int(np.prod([a.shape[axis] for axis in kept_a])), size)
    )
    right = np.reshape(
        np.transpose(b, of_b + kept_b), (size, int(np.prod([b.shape[axis] for axis in kept_b])))
    )
    shape = [a.shape[axis] for axis in kept_a] + [b.shape[axis] for axis in kept_b]
    return np.reshape(np.matmul(left, right), shape)


@primitive
def _einsum(operands: Sequence[Any], subscripts: str) -> Array:
    return np.asarray(np.einsum(subscripts, *operands, optimize=len(operands) > 2))


@composite(np.einsum)
def _of_letters(subscripts: Any, *operands: Any, **kwargs: Any) -> Any:
    """With the letters of the result, and letters instead of dots."""
    if not isinstance(subscripts, str) or kwargs.get("out") is not None:
        raise refuse("numpy.einsum with lists of numbers or out=")
    taken, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = taken.split(",")
    free = [letter for letter in ascii_letters if letter not in subscripts]
    counts = [np.ndim(o) - len(t.replace("...", "")) for t, o in zip(terms, operands, strict=True)]
    dots = "".join(free[: max(counts)])
    for index, (term, count) in enumerate(zip(terms, counts, strict=True)):
        terms[index] = term.replace("...", dots[len(dots) - count :] if count else "")
    if not arrow:
        letters = "".join(terms)
        result = ("..." if "..." in taken else "") + "".join(
            sorted(each for each in set(letters) - set(dots) if letters.count(each) == 1)
        )
    shown = "".join(each for each in dots if any(each in term for term in terms))
    result = result.replace("...", shown)
    if any(len(set(term)) < len(term) for term in terms):
        raise refuse("numpy.einsum with an index that comes twice in one operand")
    return _einsum(tuple(operands), f"{','.join(terms)}->{result}")


def _of_operands(operands: Sequence[Array], subscripts: str) -> list[Gradient]:
    taken, _, result = subscripts.partition("->")
    terms = taken.split(",")

    def gradient_of(index: int) -> Gradient:
        def gradient(d: Any, y: Any, *arrays: Any) -> Any:
            others = [each for i, each in enumerate(terms) if i != index]
            factors = [each for i, each in enumerate(arrays) if i != index]
            known = set(result).union(*others)
            kept = "".join(letter for letter in terms[index] if letter in known)
            found = _einsum((d, *factors), f"{','.join([result, *others])}->{kept}")
            operand = arrays[index]
            missing = [axis for axis, letter in enumerate(terms[index]) if letter not in known]
            return like(
                np.broadcast_to(np.expand_dims(found, missing), _shape(found, missing, operand)), operand
            )

        return gradient

    def _shape(found: Any, missing: list[int], operand: Any) -> tuple[int, ...]:
        rest = iter(found.shape)
        return tuple(size if axis in missing else next(rest) for axis, size in enumerate(operand.shape))

    return [gradient_of(index) for index in range(len(operands))]


RULES[_einsum] = Rule((), _of_operands)
