"""MPICommunicator: the collectives of the MPI library, to compare with. Headers go around our ring first.

MPI's own collectives give success and garbage when ranks disagree, so nothing is handed to them before the headers
of all ranks were found equal. They are started without waiting and waited for with our deadline.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.comm.collectives.ring import RingCommunicator
from distrib.comm.communicator import Communicator
from distrib.comm.messages.header import Operation
from distrib.comm.messages.transport import Request, Transport
from distrib.comm.messages.wait import DEFAULT_TIMEOUT_S, wait
from distrib.comm.reduce_op import ReduceOp

_NO_SCALARS: Array = np.empty(0)


@functools.cache
def _duplicate(mpi: Any) -> Any:
    """A communicator of our own, so that its messages never meet those of the transport. Collective.

    One for all strategies: what they do comes one after the other, and an MPI has room for 2000 or so.
    """
    return mpi.COMM_WORLD.Dup()


class MPICommunicator(Communicator):
    """Collectives of an MPI library.

    Args:
        transport: moves headers and scalars, and knows whether the peers are well.
        mpi: the module `mpi4py.MPI`, which only `comm/connect.py` imports.
        timeout_s: seconds to wait for another rank before giving up.
    """

    transport: Transport

    def __init__(
        self,
        transport: Transport,
        mpi: Any,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self.rank, self.world_size = transport.rank, transport.world_size
        self.transport, self._timeout_s = transport, timeout_s
        self._ring = RingCommunicator(transport, timeout_s)
        self._ring.barrier()  # has a deadline, which Dup has not
        self._world, self._in_place = _duplicate(mpi), mpi.IN_PLACE
        self._operations = {
            ReduceOp.SUM: mpi.SUM,
            ReduceOp.MEAN: mpi.SUM,
            ReduceOp.MAX: mpi.MAX,
            ReduceOp.MIN: mpi.MIN,
        }
        self.spans_hosts = self._ring.spans_hosts
        self.counters = self._ring.counters
        self._scratch: dict[tuple[int, np.dtype[np.generic]], Array] = {}

    def reduce_scatter(
        self, vector: Array, op: ReduceOp = ReduceOp.SUM, scalars: Array | None = None
    ) -> Array:
        all_scalars = self._ring.agree(
            Operation.REDUCE_SCATTER, vector, op, _NO_SCALARS if scalars is None else scalars
        )
        own = vector[self.own_range(vector.size).slice]
        reduced = self._scratch.get((own.size, own.dtype))
        if reduced is None:
            reduced = self._scratch[own.size, own.dtype] = np.empty_like(own)
        counts = [part.size for part in self.ranges(vector.size)]
        self.finish(self._world.Ireduce_scatter(vector, reduced, counts, self._operations[op]))
        own[...] = reduced
        if op is ReduceOp.MEAN:
            np.divide(own, self.world_size, out=own)
        return all_scalars

    def all_gather(self, vector: Array, scalars: Array | None = None) -> Array:
        all_scalars = self._ring.agree(
            Operation.ALL_GATHER, vector, ReduceOp.SUM, _NO_SCALARS if scalars is None else scalars
        )
        counts = [part.size for part in self.ranges(vector.size)]
        self.finish(self._world.Iallgatherv(self._in_place, [vector, counts]))
        return all_scalars

    def all_reduce(self, vector: Array, op: ReduceOp = ReduceOp.SUM) -> None:
        self._ring.agree(Operation.ALL_REDUCE, vector, op, _NO_SCALARS)
        self.finish(self._world.Iallreduce(self._in_place, vector, self._operations[op]))
        if op is ReduceOp.MEAN:
            np.divide(vector, self.world_size, out=vector)

    def gather_scalars(self, scalars: Array) -> Array:
        return self._ring.gather_scalars(scalars)

    def gather_bytes(self, payload: bytes) -> list[bytes]:
        return self._ring.gather_bytes(payload)

    def broadcast(self, vector: Array, root: int = 0) -> None:
        self._ring.agree(Operation.BROADCAST, vector, ReduceOp.SUM, _NO_SCALARS, root)
        self.finish(self._world.Ibcast(vector, root))

    def finish(self, request: Request) -> None:
        """Wait until a collective of the MPI library is done."""
        wait([request], self.transport, (self.rank + 1) % self.world_size, self._ring.header, self._timeout_s)
