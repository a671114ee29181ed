"""MovingAverage: of the values of variables, over the updates of an optimizer (Polyak and Juditsky, 1992).

`average = momentum * average + (1 - momentum) * values` after each update; the first one begins with the values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array, aligned_vector

_PIECE_ELEMENTS = 32 * 1024


class MovingAverage:
    """Updates averages, in pieces that stay in the cache.

    Args:
        momentum: weight of the average, in [0, 1].
        overwrite_frequency: number of updates after which the averages take the place of the values; None for never.
        num_elements: how many are averaged at most in one call.
        dtype: of the values.
    """

    def __init__(
        self, momentum: float, overwrite_frequency: int | None, num_elements: int, dtype: np.dtype[Any]
    ) -> None:
        self._momentum, self._overwrite_frequency = momentum, overwrite_frequency
        self._work = aligned_vector(min(num_elements, _PIECE_ELEMENTS), dtype)

    def update(self, values: Array, average: Array, step: int) -> None:
        """Update the averages of values; overwrite the values with them if it is time to.

        Args:
            values: `(n,)`, after update number `step`.
            average: `(n,)`.
            step: from 1.
        """
        kind = values.dtype.type
        momentum = kind(self._momentum if step > 1 else 0.0)
        for begin in range(0, values.size, _PIECE_ELEMENTS):
            piece = slice(begin, begin + _PIECE_ELEMENTS)
            work = self._work[: values[piece].size]
            average[piece] *= momentum
            np.multiply(values[piece], kind(1) - momentum, out=work)
            average[piece] += work
        if self._overwrite_frequency is not None and step % self._overwrite_frequency == 0:
            values[...] = average
