"""Tensor: a NumPy array with the few methods that scripts written for TensorFlow or Keras call on results."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.base.arrays import Array


class Tensor(np.ndarray[Any, Any]):
    """An array that also has `numpy()`. Everything that takes arrays takes it, and what is computed from it is one.

    A result without axes, such as a loss, converts by `float()` and formats as a number.
    """

    def numpy(self) -> Any:
        """The plain array, which shares the memory; a NumPy number if there are no axes."""
        return self.view(np.ndarray)[()] if self.ndim == 0 else self.view(np.ndarray)


def as_tensor(value: ArrayLike) -> Array:
    """`value` as a `Tensor`; arrays are not copied."""
    return np.asarray(value).view(Tensor)
