"""SharedVectors: a worker's gradients and values in memory that the ps on its host use in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.host.shared_segment import SharedSegment, why_not
from distrib.proto import parameter_server_pb2 as pb


class SharedVectors:
    """The memory of one model at a time.

    Args:
        is_offered: whether ps may use it. Otherwise all vectors travel.

    Attributes:
        segment: the memory; None if there is none.
    """

    def __init__(self, is_offered: bool) -> None:
        self._is_offered = is_offered
        self.segment: SharedSegment | None = None

    def place(self, size: int, dtype: np.dtype[Any]) -> tuple[Array, Array] | None:
        """Vectors for gradients and values, each `(size,)`; None if this host shares no memory."""
        self.close()
        if not self._is_offered or why_not() or not size:
            return None
        try:
            self.segment = SharedSegment(2 * size * dtype.itemsize)
        except OSError:
            return None
        memory = self.segment.memory.view(dtype)
        return memory[:size], memory[size:]

    @property
    def address(self) -> pb.Segment | None:
        """Where a ps on this host finds the memory; None if there is none."""
        if self.segment is None:
            return None
        pid, descriptor, num_bytes, nonce = self.segment.address
        return pb.Segment(pid=pid, descriptor=descriptor, num_bytes=num_bytes, nonce=nonce)

    def close(self) -> None:
        """Stop sharing the memory; a ps that has mapped it keeps it."""
        if self.segment is not None:
            self.segment.close()
            self.segment = None
