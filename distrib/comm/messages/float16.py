"""Float16 on the wire, with error feedback: half the bytes, and nothing is lost for good.

What rounding takes from a message is kept, as the residual, and added to the next message of the same elements. So
the sum of all that was sent stays within one rounding of the sum of all that should have been (Seide et al., 1-bit
SGD, 2014; Karimireddy et al., Error Feedback Fixes SignSGD, 2019).

A message is a power of two, as float64, and the numbers times it as float16. The factor brings the largest number to
about 2**14, so that sums of gradients neither overflow float16 nor vanish in it. Numbers that are NaN or Inf arrive
as such, and leave no residual.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.ranges import Range, split

_LARGEST = 14
_FACTOR_BYTES = 8
_PIECE_ELEMENTS = 32 * 1024
"""Small enough to stay in the second-level cache through the passes of rounding."""


class Float16Wire:
    """Encodes and decodes messages of at most `num_elements` numbers of `dtype`."""

    def __init__(self, num_elements: int, dtype: np.dtype[Any]) -> None:
        self._outgoing = np.empty(_FACTOR_BYTES + 2 * num_elements, np.uint8)
        self._incoming = np.empty(_FACTOR_BYTES + 2 * num_elements, np.uint8)
        self._scratch = np.empty(min(num_elements, _PIECE_ELEMENTS), dtype)

    def encode(self, numbers: Array, residual: Array) -> Array:
        """The message for `numbers + residual`, valid until the next one; `residual` becomes what it lacks."""
        residual += numbers
        largest = max(float(residual.max()), -float(residual.min())) if residual.size else 0.0
        factor = 1.0
        if 0 < largest < math.inf:
            # Numbers that are almost 0 would need a factor that the dtype does not have.
            factor = 2.0 ** min(_LARGEST - math.frexp(largest)[1], np.finfo(residual.dtype).maxexp - 1)
        message = self._outgoing[: _FACTOR_BYTES + 2 * numbers.size]
        message[:_FACTOR_BYTES].view(np.float64)[0] = factor
        sent = message[_FACTOR_BYTES:].view(np.float16)
        scale, inverse = residual.dtype.type(factor), residual.dtype.type(1 / factor)
        with np.errstate(all="ignore"):
            for piece in _pieces(numbers.size):
                scratch = self._scratch[: piece.size]
                np.multiply(residual[piece.slice], scale, out=scratch)
                sent[piece.slice] = scratch
                np.multiply(sent[piece.slice], inverse, out=scratch)
                residual[piece.slice] -= scratch
        if not math.isfinite(largest):
            residual.fill(0)
        return message

    def incoming(self, num_elements: int) -> Array:
        """Where to receive a message of `size` numbers."""
        return self._incoming[: _FACTOR_BYTES + 2 * num_elements]

    def combine(self, numbers: Array, combine: np.ufunc) -> None:
        """Combine `numbers` with those of the message in `incoming`."""
        message = self.incoming(numbers.size)
        inverse = numbers.dtype.type(1 / message[:_FACTOR_BYTES].view(np.float64)[0])
        received = message[_FACTOR_BYTES:].view(np.float16)
        for piece in _pieces(numbers.size):
            scratch = self._scratch[: piece.size]
            np.multiply(received[piece.slice], inverse, out=scratch)
            own = numbers[piece.slice]
            combine(own, scratch, out=own)


def _pieces(num_elements: int) -> list[Range]:
    return split(num_elements, -(-num_elements // _PIECE_ELEMENTS)) if num_elements else []
