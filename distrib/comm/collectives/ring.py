"""Ring: all-reduce as reduce-scatter and all-gather around a ring (Patarasuk and Yuan, 2009).

The ranks stand in a ring; each sends to its right neighbour, `rank + 1`, and receives from its left one. The
vector is cut into one chunk a rank.

Reduce-scatter takes `world_size - 1` steps. At the first, a rank sends the chunk of its left neighbour; at each
later one it sends on what it has just received. What it receives it combines with its own numbers for that
chunk. So a chunk travels once around the ring, from the rank behind its owner to its owner, gathering every
rank's part on the way; after the last step each rank holds the total of its own chunk.

All-gather takes `world_size - 1` steps more. At the first, a rank sends its own chunk; at each later one it sends
on what it has just received. Now every chunk is overwritten instead of combined.

A rank sends `2 (world_size - 1) / world_size` times the vector in all, which is the least that any
all-reduce can do, in `2 (world_size - 1)` messages. Between the halves each rank may change its own chunk: a
strategy updates the values there, and the all-gather carries values instead of gradients.

Float64 scalars ride in the headers of each half. At step s a rank sends the scalars of rank
`rank - s`, so after the last step it has those of all ranks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.ranges import Range
from distrib.comm.communicator import Communicator
from distrib.comm.messages.channel import CheckedChannel, Combine
from distrib.comm.messages.float16 import Float16Wire
from distrib.comm.messages.header import Header, Operation
from distrib.comm.messages.transport import Transport
from distrib.comm.messages.wait import DEFAULT_TIMEOUT_S
from distrib.comm.reduce_op import ReduceOp

COMBINE: dict[ReduceOp, np.ufunc] = {
    ReduceOp.SUM: np.add,
    ReduceOp.MEAN: np.add,
    ReduceOp.MAX: np.maximum,
    ReduceOp.MIN: np.minimum,
}

_NO_SCALARS: Array = np.empty(0)
_NO_VECTOR: Array = np.empty(0, np.uint8)


class RingCommunicator(Communicator):
    """Collectives around a ring of ranks.

    Args:
        transport: moves messages between neighbours.
        timeout_s: seconds to wait for a neighbour before giving up.
    """

    def __init__(self, transport: Transport, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.rank, self.world_size = transport.rank, transport.world_size
        self._right = (self.rank + 1) % self.world_size
        self._left = (self.rank - 1) % self.world_size
        self.transport = transport
        self._channel = CheckedChannel(transport, timeout_s)
        self.counters = self._channel.counters
        self._all_scalars: dict[int, Array] = {}
        self._chunks: dict[int, list[Range]] = {}
        self._wires: dict[tuple[int, np.dtype[Any]], Float16Wire] = {}
        self.spans_hosts = len(set(transport.hosts)) > 1

    def reduce_scatter(
        self, vector: Array, op: ReduceOp = ReduceOp.SUM, scalars: Array | None = None
    ) -> Array:
        scalars = _NO_SCALARS if scalars is None else scalars
        with self._channel.collective(Operation.REDUCE_SCATTER, vector, op, scalars.size):
            all_scalars = self._travel(vector, scalars, first_chunk=self.rank - 1, combine=COMBINE[op])
        if op is ReduceOp.MEAN:
            own = vector[self.own_range(vector.size).slice]
            np.divide(own, self.world_size, out=own)
        return all_scalars

    def reduce_scatter_float16(self, vector: Array, residual: Array, scalars: Array | None = None) -> Array:
        scalars = _NO_SCALARS if scalars is None else scalars
        with self._channel.collective(Operation.REDUCE_SCATTER_FLOAT16, vector, num_scalars=scalars.size):
            return self._travel_float16(vector, residual, scalars)

    def all_gather(self, vector: Array, scalars: Array | None = None) -> Array:
        scalars = _NO_SCALARS if scalars is None else scalars
        with self._channel.collective(Operation.ALL_GATHER, vector, num_scalars=scalars.size):
            return self._travel(vector, scalars, first_chunk=self.rank, combine=None)

    @property
    def header(self) -> Header:
        """The header of the last collective."""
        return self._channel.header

    def agree(
        self, operation: Operation, vector: Array, op: ReduceOp, scalars: Array, root: int = 0
    ) -> Array:
        """The scalars of all ranks, once all are found to be in the same collective on equal vectors. Collective."""
        with self._channel.collective(operation, vector, op, scalars.size, root):
            return self._travel(_NO_VECTOR, scalars, first_chunk=self.rank, combine=None)

    def gather_scalars(self, scalars: Array) -> Array:
        with self._channel.collective(Operation.GATHER_SCALARS, _NO_VECTOR, num_scalars=scalars.size):
            return self._travel(_NO_VECTOR, scalars, first_chunk=self.rank, combine=None)

    def gather_bytes(self, payload: bytes) -> list[bytes]:
        length = np.array([float(len(payload))])
        lengths = self.agree(Operation.GATHER_BYTES, _NO_VECTOR, ReduceOp.SUM, length)
        sizes = [int(size) for size in lengths[:, 0]]
        vector = np.empty(sum(sizes), np.uint8)
        ends = np.cumsum(sizes)
        chunks = [Range(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]
        vector[chunks[self.rank].slice] = np.frombuffer(payload, np.uint8)
        with self._channel.collective(Operation.GATHER_BYTES, vector):
            self._travel(vector, _NO_SCALARS, first_chunk=self.rank, combine=None, chunks=chunks)
        return [vector[chunk.slice].tobytes() for chunk in chunks]

    def broadcast(self, vector: Array, root: int = 0) -> None:
        """Down the ring from `root`, each rank sending on what it has received.

        Neighbours compare headers first: two ranks that each believe to be the root would only send.
        """
        with self._channel.collective(Operation.BROADCAST, vector, root=root):
            if self.world_size > 1:
                requests = self._channel.send(self._right, _NO_VECTOR)
                self._channel.receive(self._left, _NO_VECTOR)
                self._channel.finish(requests, self._right)
            if self.rank != root:
                self._channel.receive(self._left, vector)
            if self._right != root:
                self._channel.finish(self._channel.send(self._right, vector), self._right)

    def _travel(
        self,
        vector: Array,
        scalars: Array,
        first_chunk: int,
        combine: Combine | None,
        chunks: list[Range] | None = None,
    ) -> Array:
        """Half a ring all-reduce: `world_size - 1` steps, beginning by sending `first_chunk`."""
        chunks = chunks or self._chunks_of(vector.size)
        all_scalars = self._scalars_of(scalars.size)
        all_scalars[self.rank] = scalars
        channel, world_size = self._channel, self.world_size
        for step in range(world_size - 1):
            outgoing = vector[chunks[(first_chunk - step) % world_size].slice]
            incoming = vector[chunks[(first_chunk - step - 1) % world_size].slice]
            requests = channel.send(self._right, outgoing, all_scalars[(self.rank - step) % world_size])
            channel.receive(self._left, incoming, all_scalars[(self.rank - step - 1) % world_size], combine)
            channel.finish(requests, self._right)
        return all_scalars

    def _travel_float16(self, vector: Array, residual: Array, scalars: Array) -> Array:
        """The reducing half of `_travel`, with encoded messages."""
        chunks, all_scalars, world_size = (
            self._chunks_of(vector.size),
            self._scalars_of(scalars.size),
            self.world_size,
        )
        wire = self._wires.get((vector.size, vector.dtype))
        if wire is None:
            wire = self._wires[vector.size, vector.dtype] = Float16Wire(
                max(chunk.size for chunk in chunks), vector.dtype
            )
        all_scalars[self.rank] = scalars
        channel = self._channel
        for step in range(world_size - 1):
            outgoing = chunks[(self.rank - 1 - step) % world_size].slice
            incoming = vector[chunks[(self.rank - 2 - step) % world_size].slice]
            message = wire.encode(vector[outgoing], residual[outgoing])
            requests = channel.send(self._right, message, all_scalars[(self.rank - step) % world_size])
            channel.receive(
                self._left, wire.incoming(incoming.size), all_scalars[(self.rank - step - 1) % world_size]
            )
            wire.combine(incoming, np.add)
            channel.finish(requests, self._right)
        return all_scalars

    def cut(self, num_elements: int, ranges: list[Range] | None) -> None:
        super().cut(num_elements, ranges)
        self._chunks.pop(num_elements, None)
        self._wires.clear()

    def _chunks_of(self, num_elements: int) -> list[Range]:
        chunks = self._chunks.get(num_elements)
        if chunks is None:
            chunks = self._chunks[num_elements] = self.ranges(num_elements)
        return chunks

    def _scalars_of(self, length: int) -> Array:
        all_scalars = self._all_scalars.get(length)
        if all_scalars is None:
            all_scalars = self._all_scalars[length] = np.empty((self.world_size, length))
        return all_scalars
