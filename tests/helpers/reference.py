"""Naive: everything through rank 0. Slow and obvious; the oracle that the other communicators are tested against."""

from __future__ import annotations

import numpy as np

from distrib.base.arrays import Array
from distrib.base.ranges import split
from distrib.comm.collectives.ring import COMBINE
from distrib.comm.communicator import Communicator
from distrib.comm.messages.channel import CheckedChannel
from distrib.comm.messages.header import Operation
from distrib.comm.messages.transport import Transport
from distrib.comm.messages.wait import DEFAULT_TIMEOUT_S
from distrib.comm.reduce_op import ReduceOp

_NO_SCALARS: Array = np.empty(0)


class NaiveCommunicator(Communicator):
    """Rank 0 gathers, combines in rank order, and sends the result to all.

    Args:
        transport: moves messages to and from rank 0.
        timeout_s: seconds to wait for a rank before giving up.
    """

    def __init__(self, transport: Transport, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.rank, self.world_size = transport.rank, transport.world_size
        self.transport = transport
        self._messenger = CheckedChannel(transport, timeout_s)
        self.counters = self._messenger.counters

    def reduce_scatter(
        self, vector: Array, op: ReduceOp = ReduceOp.SUM, scalars: Array | None = None
    ) -> Array:
        all_scalars = self.gather_scalars(_NO_SCALARS if scalars is None else scalars)
        with self._messenger.collective(Operation.REDUCE_SCATTER, vector, op):
            if self.rank == 0:
                for source in range(1, self.world_size):
                    self._messenger.receive(source, vector, combine=COMBINE[op])
                if op is ReduceOp.MEAN:
                    np.divide(vector, self.world_size, out=vector)
            else:
                self._messenger.finish(self._messenger.send(0, vector), 0)
        self.broadcast(vector)
        return all_scalars

    def all_gather(self, vector: Array, scalars: Array | None = None) -> Array:
        all_scalars = self.gather_scalars(_NO_SCALARS if scalars is None else scalars)
        chunks = split(vector.size, self.world_size)
        with self._messenger.collective(Operation.ALL_GATHER, vector):
            if self.rank == 0:
                for source in range(1, self.world_size):
                    self._messenger.receive(source, vector[chunks[source].slice])
            else:
                self._messenger.finish(self._messenger.send(0, vector[chunks[self.rank].slice]), 0)
        self.broadcast(vector)
        return all_scalars

    def gather_scalars(self, scalars: Array) -> Array:
        all_scalars = np.zeros((self.world_size, scalars.size))
        all_scalars[self.rank] = scalars
        flat = all_scalars.reshape(-1)
        with self._messenger.collective(Operation.GATHER_SCALARS, flat):
            if self.rank == 0:
                for source in range(1, self.world_size):
                    self._messenger.receive(source, all_scalars[source])
            else:
                self._messenger.finish(self._messenger.send(0, scalars), 0)
        self.broadcast(flat)
        return all_scalars

    def gather_bytes(self, payload: bytes) -> list[bytes]:
        sizes = self.gather_scalars(np.array([float(len(payload))]))[:, 0].astype(int)
        table = np.zeros((self.world_size, max(sizes, default=0)), np.uint8)
        table[self.rank, : len(payload)] = np.frombuffer(payload, np.uint8)
        flat = table.reshape(-1)
        self.reduce_scatter(flat, ReduceOp.MAX)
        return [table[source, :size].tobytes() for source, size in enumerate(sizes)]

    def broadcast(self, vector: Array, root: int = 0) -> None:
        with self._messenger.collective(Operation.BROADCAST, vector, root=root):
            if self.rank == root:
                for dest in range(self.world_size):
                    if dest != root:
                        self._messenger.finish(self._messenger.send(dest, vector), dest)
            else:
                self._messenger.receive(root, vector)
