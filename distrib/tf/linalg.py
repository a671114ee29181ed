"""`distrib.tf.linalg`: products and decompositions of matrices, of arrays, of which they make tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.autodiff.tensor import as_tensor
from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.base.missing import refuser
from distrib.tf.elementwise import tensor_of

__all__ = [
    *("cholesky", "det", "diag", "diag_part", "einsum", "eye", "inv", "matmul", "matrix_transpose"),
    *("norm", "solve", "tensordot", "trace"),
]


@checked
def inv(input: ArrayLike, adjoint: bool = False, name: str | None = None) -> Array:
    """The inverse of square matrices; `adjoint`, of their conjugate transpose."""
    return as_tensor(np.linalg.inv(_adjoint(tensor_of(input), adjoint)))


@checked
def det(input: ArrayLike, name: str | None = None) -> Array:
    """The determinant of square matrices."""
    return as_tensor(np.linalg.det(tensor_of(input)))


@checked
def cholesky(input: ArrayLike, name: str | None = None) -> Array:
    """The lower triangular Cholesky factor of matrices that are positive definite."""
    return as_tensor(np.linalg.cholesky(tensor_of(input)))


@checked
def solve(matrix: ArrayLike, rhs: ArrayLike, adjoint: bool = False, name: str | None = None) -> Array:
    """The `x` of `matrix @ x == rhs`, for matrices `rhs`; `adjoint`, with the conjugate transpose."""
    return as_tensor(np.linalg.solve(_adjoint(tensor_of(matrix), adjoint), tensor_of(rhs)))


def _adjoint(array: Array, is_wanted: bool) -> Array:
    return np.conj(np.swapaxes(array, -1, -2)) if is_wanted else array


@checked
def matrix_transpose(a: ArrayLike, name: str | None = None) -> Array:
    """The last two axes exchanged."""
    return as_tensor(np.copy(np.swapaxes(tensor_of(a), -1, -2)))


@checked
def trace(x: ArrayLike, name: str | None = None) -> Array:
    """The sum of the diagonal of matrices."""
    array = tensor_of(x)
    return as_tensor(np.trace(array, 0, -2, -1))


@checked
def diag(diagonal: ArrayLike, name: str | None = None) -> Array:
    """Matrices with these diagonals, and 0 elsewhere."""
    array = tensor_of(diagonal)
    return as_tensor(array[..., np.newaxis] * np.eye(array.shape[-1], dtype=array.dtype))


@checked
def diag_part(input: ArrayLike, name: str | None = None) -> Array:
    """The diagonals of matrices."""
    return as_tensor(np.copy(np.diagonal(tensor_of(input), 0, -2, -1)))


def einsum(equation: str, *inputs: Any, **kwargs: Any) -> Array:
    """Products and sums as an equation says, such as `"ij,jk->ik"`. `kwargs` (name, optimize) have no effect."""
    return as_tensor(np.einsum(equation, *map(tensor_of, inputs)))


@checked
def tensordot(a: ArrayLike, b: ArrayLike, axes: Any, name: str | None = None) -> Array:
    """Sums of products over axes: a number of them, the last of `a` and the first of `b`; or two lists."""
    return as_tensor(np.tensordot(tensor_of(a), tensor_of(b), axes))


__getattr__ = refuser(
    __name__,
    dict.fromkeys(["svd", "eigh", "qr", "eig", "lstsq", "pinv"], "use numpy.linalg, on tensors too."),
    __all__,
)


def __dir__() -> list[str]:
    return __all__
