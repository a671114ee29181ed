"""A world of one: every collective is already done."""

from __future__ import annotations

import numpy as np

from distrib.base.arrays import Array
from distrib.comm.communicator import Communicator
from distrib.comm.counters import Counters
from distrib.comm.reduce_op import ReduceOp

_NO_SCALARS: Array = np.empty(0)


class SingleCommunicator(Communicator):
    """Rank 0 of 1."""

    has_common_memory = True

    def __init__(self) -> None:
        self.rank, self.world_size = 0, 1
        self.counters = Counters()

    def common(self, vector: Array) -> Array:
        return vector

    def reduce_scatter(
        self, vector: Array, op: ReduceOp = ReduceOp.SUM, scalars: Array | None = None
    ) -> Array:
        return self.gather_scalars(_NO_SCALARS if scalars is None else scalars)

    def all_gather(self, vector: Array, scalars: Array | None = None) -> Array:
        return self.gather_scalars(_NO_SCALARS if scalars is None else scalars)

    def gather_scalars(self, scalars: Array) -> Array:
        return scalars.reshape(1, -1)

    def gather_bytes(self, payload: bytes) -> list[bytes]:
        return [payload]

    def broadcast(self, vector: Array, root: int = 0) -> None:
        pass
