"""Spec: shape and dtype of a component, as `tf.TensorSpec`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError


class Spec:
    """Shape and dtype of a component of an element.

    Args:
        shape: sizes, None for those that are not known; None for any shape.
        dtype: dtype of NumPy, or its name.
        name: not looked at.

    Attributes:
        shape: as a tuple.
        dtype: as a dtype of NumPy.
    """

    def __init__(
        self, shape: Sequence[int | None] | int | None, dtype: Any = "float32", name: str | None = None
    ) -> None:
        self.shape = (shape,) if isinstance(shape, int) else None if shape is None else tuple(shape)
        try:
            self.dtype = np.dtype(getattr(dtype, "as_numpy_dtype", dtype))
        except TypeError:
            raise ConfigError(f"TensorSpec expects a dtype of numbers. Received: {dtype!r}.") from None

    def fits(self, array: Array) -> bool:
        """Whether an array is as described."""
        if array.dtype != self.dtype:
            return False
        if self.shape is None:
            return True
        return len(self.shape) == array.ndim and all(
            mine is None or mine == size for mine, size in zip(self.shape, array.shape, strict=True)
        )

    def batched(self, size: int | None) -> Spec:
        """That of a batch of such components."""
        return Spec(None if self.shape is None else (size, *self.shape), self.dtype)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spec) and (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"TensorSpec(shape={self.shape}, dtype={self.dtype})"
