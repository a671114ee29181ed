"""Shared memory: collectives of the ranks of one host, without messages.

The vectors that are reduced and gathered lie in memory that every rank of the host maps. So:

- reduce-scatter: every rank arrives (`comm/collectives/shared_barrier.py`): its vector is complete. Then each rank
adds the others' parts
  of its own range to its own, piece by piece.
- all-gather: each rank writes its own range into every other rank's vector, and then arrives: when all have
  arrived, every vector is complete.
- all-reduce: both at once. A piece is summed, and while it is in the cache it is written to all.

Nobody may read or write outside of its own range of a vector from the collective before an all-gather to its end:
that is when the others write there.

A vector that does not lie in shared memory (a slice of one that does is another vector, unless `part` made it) goes
around the ring, after the headers were compared on the board.
"""

from __future__ import annotations

import json
import weakref
from typing import NamedTuple

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.base.logs import LOGGER
from distrib.base.ranges import Range
from distrib.comm.collectives.ring import COMBINE, RingCommunicator
from distrib.comm.collectives.shared_barrier import BARRIER_BYTES, SharedBarrier
from distrib.comm.communicator import Communicator
from distrib.comm.messages.header import Operation
from distrib.comm.messages.transport import Transport
from distrib.comm.messages.wait import DEFAULT_TIMEOUT_S
from distrib.comm.reduce_op import ReduceOp
from distrib.host.memory_limits import check_headroom
from distrib.host.shared_segment import SharedSegment, mapped, why_not

_PIECE_BYTES, _PIECE_BYTES_OF_LARGE, _LARGE_BYTES = 512 * 1024, 256 * 1024, 32 << 20
"""Small enough to stay in the cache between being summed and being written to all. Measured: vectors that fit the
third-level cache with those of the other ranks like larger pieces (16 MiB: 28 GB/s instead of 22), larger vectors
smaller ones (64 MiB: 18.9 instead of 17.7, or 29 instead of 27)."""

_NO_SCALARS: Array = np.empty(0)
_NO_VECTOR: Array = np.empty(0, np.uint8)


class NoSharedMemoryError(ConfigError):
    """The ranks cannot share memory."""


class Piece(NamedTuple):
    """A piece of the range of a vector that this rank owns.

    Attributes:
        own: in this rank's vector.
        theirs: the same elements in the other ranks' vectors; none of a common vector.
    """

    own: Array
    theirs: list[Array]

    def write_to_all(self) -> None:
        """Overwrite the others' elements with the own ones."""
        for part in self.theirs:
            part[...] = self.own


class SharedMemoryCommunicator(Communicator):
    """Collectives of the ranks of one host. Making one is collective.

    Args:
        transport: moves messages between them, and knows whether they are well.
        timeout_s: seconds to wait for another rank before giving up.

    Raises:
        NoSharedMemoryError: on every rank, if one of them cannot map the memory of another.
    """

    transport: Transport
    has_common_memory = True

    def __init__(self, transport: Transport, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.rank, self.world_size = transport.rank, transport.world_size
        self.transport = transport
        self._ring = RingCommunicator(transport, timeout_s)
        self.counters = self._ring.counters
        # By id of a vector that lies in shared memory: those of the other ranks; and its own range, in pieces.
        self._vectors: dict[int, list[Array]] = {}
        self._pieces: dict[int, list[Piece]] = {}
        self._mine: weakref.WeakValueDictionary[int, Array] = weakref.WeakValueDictionary()
        pages = self._exchange([BARRIER_BYTES] * self.world_size)
        self._barrier = SharedBarrier(transport, pages, timeout_s)

    def shared(self, vector: Array) -> Array:
        try:
            return self._placed(vector, [vector.nbytes] * self.world_size)
        except NoSharedMemoryError as error:
            LOGGER.warning("%s These vectors go around the ring instead, which is slower.", error)
            # A vector that lies in shared memory on some ranks only must not be taken for one that does.
            return vector.copy() if id(vector) in self._pieces else vector

    def cut(self, num_elements: int, ranges: list[Range] | None) -> None:
        super().cut(num_elements, ranges)
        self._ring.cut(num_elements, ranges)
        for each in list(self._mine.values()):
            if each.size == num_elements:
                self._pieces[id(each)] = self._cut_in_pieces(each, self._vectors[id(each)])

    def common(self, vector: Array) -> Array:
        vector = self._placed(vector, [vector.nbytes] + [0] * (self.world_size - 1))
        self.barrier()  # rank 0 has copied its values into it
        return vector

    def part(self, vector: Array, part: Range) -> Array:
        mine, others = vector[part.slice], self._vectors.get(id(vector))
        if others is not None:
            self._register(mine, [other[part.slice] for other in others])
        return mine

    def reduce_scatter(
        self, vector: Array, op: ReduceOp = ReduceOp.SUM, scalars: Array | None = None
    ) -> Array:
        scalars = _NO_SCALARS if scalars is None else scalars
        pieces = self._pieces.get(id(vector))
        all_scalars = self._arrive(Operation.REDUCE_SCATTER, vector, op, scalars)
        if pieces is None:
            self._ring.reduce_scatter(vector, op)
        else:
            for piece in pieces:
                self.combine(piece, op)
        return all_scalars

    def all_gather(self, vector: Array, scalars: Array | None = None) -> Array:
        scalars = _NO_SCALARS if scalars is None else scalars
        pieces = self._pieces.get(id(vector))
        if pieces is None:
            all_scalars = self._arrive(Operation.ALL_GATHER, vector, scalars=scalars)
            self._ring.all_gather(vector)
            return all_scalars
        for piece in pieces:
            piece.write_to_all()
        return self._arrive(Operation.ALL_GATHER, vector, scalars=scalars)

    def all_reduce(self, vector: Array, op: ReduceOp = ReduceOp.SUM) -> None:
        pieces = self._pieces.get(id(vector))
        self._arrive(Operation.ALL_REDUCE, vector, op)
        if pieces is None:
            self._ring.all_reduce(vector, op)
            return
        for piece in pieces:
            self.combine(piece, op)
            piece.write_to_all()
        self._barrier.meet()

    def gather_scalars(self, scalars: Array) -> Array:
        return self._arrive(Operation.GATHER_SCALARS, _NO_VECTOR, scalars=scalars)

    def gather_bytes(self, payload: bytes) -> list[bytes]:
        self._arrive(Operation.GATHER_BYTES, _NO_VECTOR)
        return self._ring.gather_bytes(payload)

    def broadcast(self, vector: Array, root: int = 0) -> None:
        self._arrive(Operation.BROADCAST, vector, root=root)
        self._ring.broadcast(vector, root)

    def barrier(self) -> None:
        self._arrive(Operation.BARRIER, _NO_VECTOR)

    def _arrive(
        self,
        operation: Operation,
        vector: Array,
        op: ReduceOp = ReduceOp.SUM,
        scalars: Array = _NO_SCALARS,
        root: int = 0,
    ) -> Array:
        is_shared = id(vector) in self._pieces
        header = self.transport.begin(operation, vector, op, scalars.size, root, is_shared)
        return self._barrier.arrive(header, scalars)

    def combine(self, piece: Piece, op: ReduceOp) -> None:
        """Reduce a piece of this rank's own range over all ranks, in place."""
        own, combine = piece.own, COMBINE[op]
        for part in piece.theirs:
            combine(own, part, out=own)
        if op is ReduceOp.MEAN:
            np.divide(own, self.world_size, out=own)

    def _placed(self, vector: Array, sizes: list[int]) -> Array:
        """`vector` in shared memory: in a segment of each rank or, where its size is 0, in that of rank 0."""
        lies_there = id(vector) in self._pieces
        if not vector.size or self.gather_scalars(np.array([float(lies_there)])).all():
            return vector
        pages = self._exchange(sizes)
        vectors = [page[:size].view(vector.dtype) for page, size in zip(pages, sizes, strict=True) if size]
        mine = vectors[self.rank % len(vectors)]
        if sizes[self.rank]:
            mine[...] = vector
        self._register(mine, [other for other in vectors if other is not mine])
        return mine

    def _register(self, mine: Array, others: list[Array]) -> None:
        self._pieces[id(mine)] = self._cut_in_pieces(mine, others)
        self._vectors[id(mine)], self._mine[id(mine)] = others, mine
        weakref.finalize(mine, self._pieces.pop, id(mine), None)
        weakref.finalize(mine, self._vectors.pop, id(mine), None)

    def _cut_in_pieces(self, mine: Array, others: list[Array]) -> list[Piece]:
        piece = _PIECE_BYTES if mine.nbytes < _LARGE_BYTES else _PIECE_BYTES_OF_LARGE
        own, elements = self.own_range(mine.size), piece // mine.itemsize
        cuts = [slice(a, min(own.end, a + elements)) for a in range(own.begin, own.end, elements)]
        return [Piece(mine[cut], [other[cut] for other in others]) for cut in cuts]

    def _exchange(self, sizes: list[int]) -> list[Array]:
        """A segment of each rank, of these sizes, mapped by all.

        Raises:
            NoSharedMemoryError: on every rank, if it fails on one.
        """
        segment, pages, reason = None, [], why_not()
        try:
            check_headroom(sum(sizes))
        except OSError as error:
            reason = reason or str(error)
        self._ring.barrier()  # all have looked before the first takes something
        try:
            segment = None if reason else SharedSegment(sizes[self.rank])
        except OSError as error:
            reason = str(error)
        address = None if segment is None else segment.address
        addresses = [json.loads(text) for text in self._ring.gather_bytes(json.dumps(address).encode())]
        try:
            if segment is not None and all(addresses):
                pages = [mapped(each) for each in addresses[: self.rank]]
                pages += [segment.memory, *(mapped(each) for each in addresses[self.rank + 1 :])]
        except OSError as error:
            reason = str(error)
        reasons = [text.decode() for text in self._ring.gather_bytes(reason.encode())]
        if segment is not None:
            segment.close()
        failed = [f"{self.transport.who(rank)}: {text}" for rank, text in enumerate(reasons) if text]
        if failed:
            raise NoSharedMemoryError(
                f"{sum(sizes)} bytes cannot be shared on this host: {'; '.join(failed)}."
            )
        return pages
