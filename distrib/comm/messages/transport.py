"""Transport: messages between two ranks, without waiting. Collectives are built on it once, for all transports.

Messages between a pair of ranks arrive in the order in which they were sent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from distrib.base.arrays import Array
from distrib.base.errors import ProtocolError
from distrib.comm.liveness.liveness import Liveness
from distrib.comm.messages.header import MAX_SCALARS, Header, Operation, dtype_name
from distrib.comm.reduce_op import ReduceOp


class Request(Protocol):
    """A message under way."""

    def Test(self) -> bool:  # noqa: N802  (the name that mpi4py's requests have)
        """Whether the message is done: sent memory may be reused, received memory be read."""


class Transport(ABC):
    """Point-to-point messages of one rank.

    Attributes:
        rank: position of this process, from 0.
        world_size: number of processes.
        hosts: name of the host of each rank.
        cores: the cores that each rank may run on.
        job: 8 random bytes that all ranks of one job share.
        sequence: number of collectives begun so far.
        model: 8 bytes that stand for what is trained; zeros before training.
        liveness: whether the other ranks live.
    """

    rank: int
    world_size: int
    hosts: list[str]
    cores: list[list[int]]
    job: bytes
    sequence: int = 0
    model: bytes = bytes(8)
    liveness: Liveness

    def begin(
        self,
        operation: Operation,
        vector: Array,
        op: ReduceOp = ReduceOp.SUM,
        num_scalars: int = 0,
        root: int = 0,
        shared: bool = False,
    ) -> Header:
        """Begin a collective on `vector`: the header that all ranks must find equal to their own.

        Raises:
            ProtocolError: the vector cannot be sent.
            PeerLostError: a peer is lost.
        """
        if not vector.flags.c_contiguous or vector.ndim != 1:
            raise ProtocolError(
                f"{operation.name.lower()} expects a C-contiguous vector. Received: shape {vector.shape}, "
                f"strides {vector.strides}. Pass np.ascontiguousarray(array).reshape(-1)."
            )
        if num_scalars > MAX_SCALARS:
            raise ProtocolError(
                f"A collective carries at most {MAX_SCALARS} scalars. Received: {num_scalars}."
            )
        try:
            name = dtype_name(vector.dtype)
        except TypeError as error:
            raise ProtocolError(f"{operation.name.lower()}: {error}") from None
        header = Header(
            operation, op, name, self.job, self.sequence, vector.size, self.model, root, num_scalars, shared
        )
        self.sequence += 1
        self.liveness.enter(self.sequence - 1)
        return header

    @abstractmethod
    def send(self, message: Array, dest: int) -> Request:
        """Begin to send a contiguous array. It must not change before the request is done."""

    @abstractmethod
    def receive(self, message: Array, source: int) -> Request:
        """Begin to receive into a contiguous array, of the size that is sent or larger."""

    @abstractmethod
    def progress(self) -> None:
        """Let messages under way go on; called while this rank waits for something else than a message.

        The end of a long message may need the receiver once more, after it has everything.
        """

    @abstractmethod
    def who(self, rank: int) -> str:
        """Description of a rank: `rank 2 (host, pid 123)`."""
