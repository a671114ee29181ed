"""Communicator: the interface of the collectives. Every call is collective and has a deadline.

All ranks make the same calls in the same order. A rank that does not is found out: each message carries a
header that says what the sender thinks is going on (`comm/messages/header.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.base.ranges import Range, cut_at, split
from distrib.comm.counters import Counters
from distrib.comm.messages.transport import Transport
from distrib.comm.reduce_op import ReduceOp


class Communicator(ABC):
    """Collectives over `world_size` ranks, of which this process is `rank`.

    Attributes:
        rank: position of this process, from 0.
        world_size: number of processes.
        transport: moves messages between all ranks; None where there is one rank only.
        counters: bytes sent so far.
        has_common_memory: whether all ranks can share one vector (`common`).
        spans_hosts: whether vectors travel between hosts.
        is_cut: whether ranges were ever moved by `cut_at`.
    """

    rank: int
    world_size: int
    transport: Transport | None = None
    counters: Counters
    has_common_memory: bool = False
    spans_hosts: bool = False
    is_cut: bool = False
    _cuts: Mapping[int, list[Range]] = MappingProxyType({})

    def own_range(self, num_elements: int) -> Range:
        """The range of a vector that `reduce_scatter` leaves on this rank."""
        return self.ranges(num_elements)[self.rank]

    def ranges(self, num_elements: int) -> list[Range]:
        """The ranges of all ranks of a vector of this size, in their order in the vector."""
        return self._cuts.get(num_elements) or split(num_elements, self.world_size)

    def cut(self, num_elements: int, ranges: list[Range] | None) -> None:
        """Say which ranges the ranks own of every vector of this size from now on. The same on all ranks.

        Args:
            num_elements: size of the vectors.
            ranges: of every rank, consecutive; None for near-equal ones.
        """
        others = {size: each for size, each in self._cuts.items() if size != num_elements}
        self._cuts = others if ranges is None else others | {num_elements: ranges}

    def cut_at(self, borders: Sequence[int] | None, num_elements: int) -> None:
        """Move the ranges that the ranks own to some of these borders, or back to near-equal ones; see `cut`."""
        self.is_cut = self.is_cut or borders is not None
        self.cut(num_elements, None if borders is None else cut_at(borders, self.world_size))

    def shared(self, vector: Array) -> Array:
        """A vector with the values of this one, where this communicator reaches it fastest. Collective.

        `vector` itself, if it lies there already or there is no such place.
        """
        return vector

    def common(self, vector: Array) -> Array:
        """One vector for all ranks, with the values that `vector` has on rank 0. Collective.

        Raises:
            ConfigError: the ranks have no memory in common.
        """
        raise ConfigError(f"{type(self).__name__} has no memory that all {self.world_size} ranks share.")

    def part(self, vector: Array, part: Range) -> Array:
        """A part of a vector, a view, to be reduced and gathered by itself as fast as the whole."""
        return vector[part.slice]

    @abstractmethod
    def reduce_scatter(
        self, vector: Array, op: ReduceOp = ReduceOp.SUM, scalars: Array | None = None
    ) -> Array:
        """Combine `vector` over the ranks, each rank getting the result in its own range only.

        Args:
            vector: `(num_elements,)`, C-contiguous; overwritten. Outside of the own range: unspecified after.
            op: SUM, MEAN, MAX or MIN.
            scalars: up to `header.MAX_SCALARS` float64 that ride along and reach every rank.

        Returns:
            `(world_size, len(scalars))` float64: the scalars of all ranks, in rank order. Valid until the next call.
        """

    def reduce_scatter_float16(self, vector: Array, residual: Array, scalars: Array | None = None) -> Array:
        """Sum `vector` over the ranks as `reduce_scatter` does, sending float16 where messages are sent.

        Args:
            vector: see `reduce_scatter`.
            residual: as `vector`; what rounding took so far, which is sent along. Updated.
            scalars: see `reduce_scatter`, for the result too.
        """
        return self.reduce_scatter(vector, scalars=scalars)

    @abstractmethod
    def all_gather(self, vector: Array, scalars: Array | None = None) -> Array:
        """Fill `vector` in place: each rank contributes its own range. `scalars` and result as above.

        From the collective before until the end of this one a rank touches its own range of `vector` only.
        """

    @abstractmethod
    def gather_scalars(self, scalars: Array) -> Array:
        """The scalars of all ranks: `(world_size, len(scalars))` float64. Valid until the next call."""

    @abstractmethod
    def gather_bytes(self, payload: bytes) -> list[bytes]:
        """The payloads of all ranks, in rank order. They may differ in length."""

    @abstractmethod
    def broadcast(self, vector: Array, root: int = 0) -> None:
        """Overwrite `vector` on every rank with that of `root`."""

    def all_reduce(self, vector: Array, op: ReduceOp = ReduceOp.SUM) -> None:
        """Combine `vector` over the ranks, in place, every rank getting the whole result."""
        self.reduce_scatter(vector, op)
        self.all_gather(vector)

    def barrier(self) -> None:
        """Return when every rank has called it."""
        self.gather_bytes(b"")

    def agree_on_model(self, fingerprint: bytes) -> None:
        """Stamp the messages from here on with 8 bytes that stand for the model; those of others are refused."""
        if self.transport is not None:
            self.transport.model = fingerprint

    def at_step(self, step: int) -> None:
        """Say at which training step this rank is, for error messages and peers."""
        if self.transport is not None:
            self.transport.liveness.at_step(step)

    def confirm(self) -> None:
        """Return when this rank is known to be one of the job still; asked before what cannot be taken back.

        Raises:
            PeerLostError: it is not: it was frozen or cut off, and the others have given it up.
        """
        if self.transport is not None:
            self.transport.liveness.confirm()
