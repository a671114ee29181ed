"""Dtypes by TensorFlow's names; each is the NumPy dtype."""

from __future__ import annotations

import numpy as np

float16, float32, float64 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)
int8, int16, int32, int64 = np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32), np.dtype(np.int64)
uint8, uint16, uint32, uint64 = (
    np.dtype(np.uint8),
    np.dtype(np.uint16),
    np.dtype(np.uint32),
    np.dtype(np.uint64),
)
bool_ = np.dtype(np.bool_)
double, half = float64, float16

__all__ = [
    *("bool_", "double", "float16", "float32", "float64", "half", "int16", "int32", "int64", "int8"),
    *("uint16", "uint32", "uint64", "uint8"),
]
