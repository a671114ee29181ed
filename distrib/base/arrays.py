"""What every floor says about arrays: the type names, the dtypes we train in, and aligned vectors."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from distrib.base.errors import ConfigError

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Columns: TypeAlias = Array | tuple[Array, ...]
"""One array, or a tuple of several with the same number of rows: inputs, targets or weights of a model."""

TRAINING_DTYPES = ("float32", "float64")

_CACHE_LINE_BYTES = 64


def columns(arrays: Columns) -> tuple[Array, ...]:
    """The arrays as a tuple, also where there is one."""
    return arrays if isinstance(arrays, tuple) else (arrays,)


def training_dtype(dtype: str | np.dtype[Any] | type) -> np.dtype[Any]:
    """The NumPy dtype a model trains in.

    Args:
        dtype: `"float32"` or `"float64"`, or the equal NumPy dtype or scalar type.

    Raises:
        ConfigError: for any other dtype.
    """
    try:
        resolved = np.dtype(dtype)
    except TypeError:
        resolved = np.dtype(object)
    if resolved.name not in TRAINING_DTYPES:
        raise ConfigError(f"A model trains in one of {TRAINING_DTYPES}. Received: dtype={dtype!r}.")
    return resolved


def aligned_vector(num_elements: int, dtype: np.dtype[Any]) -> Array:
    """A zeroed vector of `num_elements` whose first byte lies on a cache line."""
    num_bytes = num_elements * dtype.itemsize
    memory = np.zeros(num_bytes + _CACHE_LINE_BYTES, dtype=np.uint8)
    begin = -memory.ctypes.data % _CACHE_LINE_BYTES
    return memory[begin : begin + num_bytes].view(dtype)
