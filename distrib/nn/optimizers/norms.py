"""The norm of a tensor."""

from __future__ import annotations

import math

import numpy as np

from distrib.base.arrays import Array


def norm(tensor: Array) -> float:
    """The square root of the sum of the squares of all elements."""
    vector = tensor.reshape(-1)
    square = float(np.dot(vector, vector))
    if not math.isfinite(square):  # of float32, which may overflow though no element does
        vector = vector.astype(np.float64)
        square = float(np.dot(vector, vector))
    return math.sqrt(square)
