"""Preparing labels and vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.base.errors import DataError


@checked
def to_categorical(x: ArrayLike, num_classes: int | None = None) -> Array:
    """Integer labels as one-hot rows.

    Args:
        x: labels from 0 on, `(...)`; a last axis of size 1 is dropped.
        num_classes: length of the rows; the largest label + 1 by default.

    Returns:
        `(..., num_classes)` float64, as Keras on NumPy arrays.

    Raises:
        DataError: labels that are no integers, or outside of 0 to `num_classes - 1`.
    """
    labels = np.asarray(x)
    as_int = labels.astype(np.int64)
    if not np.array_equal(as_int, labels):
        raise DataError("to_categorical expects integer labels. Received: fractions.")
    if as_int.ndim > 1 and as_int.shape[-1] == 1:
        as_int = as_int[..., 0]
    count = int(as_int.max(initial=-1)) + 1 if num_classes is None else num_classes
    if as_int.size and (as_int.min() < 0 or as_int.max() >= count):
        raise DataError(
            f"to_categorical expects labels 0 to {count - 1}. Received: {as_int.min()} to {as_int.max()}."
        )
    return np.eye(count)[as_int]


@checked
def normalize(x: ArrayLike, axis: int = -1, order: int = 2) -> Array:
    """Vectors divided by their norm; those of norm 0 stay.

    Args:
        x: `(...)`.
        axis: along which a vector lies.
        order: of the norm.
    """
    array = np.asarray(x)
    norm = np.atleast_1d(np.linalg.norm(array, order, axis))
    norm[norm == 0] = 1
    normalized: Array = array / np.expand_dims(norm, axis)
    return normalized
