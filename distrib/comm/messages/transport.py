"""Transport: messages between two ranks, without waiting. Collectives are built on it once, for all transports.

Messages between a pair of ranks arrive in the order in which they were sent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, ProtocolError
from distrib.comm.communicator import Communicator, ReduceOp
from distrib.comm.messages.header import MAX_ROW, Header, Operation, dtype_name


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
    """

    rank: int
    world_size: int
    hosts: list[str]
    cores: list[list[int]]
    job: bytes
    sequence: int = 0
    model: bytes = bytes(8)

    def begin(
        self,
        operation: Operation,
        vector: Array,
        op: ReduceOp = ReduceOp.SUM,
        row_length: int = 0,
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
        if row_length > MAX_ROW:
            raise ProtocolError(f"A row holds at most {MAX_ROW} numbers. Received: {row_length}.")
        try:
            name = dtype_name(vector.dtype)
        except TypeError as error:
            raise ProtocolError(f"{operation.name.lower()}: {error}") from None
        header = Header(
            operation, op, name, self.job, self.sequence, vector.size, self.model, root, row_length, shared
        )
        self.sequence += 1
        self.enter(header)
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
    def check_peers(self) -> None:
        """Raise `PeerLostError` or `ProtocolError` if a peer is known to be lost or to have failed."""

    @abstractmethod
    def enter(self, header: Header) -> None:
        """Say which collective this rank begins. Raises as `check_peers` does."""

    @abstractmethod
    def at_step(self, step: int) -> None:
        """Say at which training step this rank is."""

    @abstractmethod
    def confirm(self) -> None:
        """As `Communicator.confirm`."""

    @abstractmethod
    def waits(self, waits: bool) -> None:
        """Say that this rank begins to wait for another one, or has done so."""

    @abstractmethod
    def late(self, sequence: int) -> str:
        """Which ranks collective `sequence` waits for, in words; empty where that is not known.

        They are those that have not left it and do not wait for another one themselves.
        """

    @abstractmethod
    def who(self, rank: int) -> str:
        """A rank in words: `rank 2 (host, pid 123)`."""

    def native(self, timeout_s: float) -> Communicator:
        """The collectives of the library underneath, for `implementation="mpi"`.

        Args:
            timeout_s: seconds to wait for another rank.

        Raises:
            ConfigError: there are none.
        """
        raise ConfigError(f"implementation='mpi' needs an MPI job. Received: {type(self).__name__}.")

    @abstractmethod
    def close(self) -> None:
        """Leave the job in good order, when every rank has called it."""


def who_is_late(sequence: int, working: Sequence[tuple[int, str]]) -> str:
    """Which ranks collective `sequence` waits for, in words.

    Args:
        sequence: a collective.
        working: the ranks that do not wait: the collective in which each is, and the rank in words.

    Returns:
        One or two sentences; nothing if it is none of them.
    """
    absent = ", ".join(who for at, who in working if at < sequence)
    within = ", ".join(who for at, who in working if at == sequence)
    return " ".join(
        ([f"Not there: {absent}."] if absent else []) + ([f"Not done with it: {within}."] if within else [])
    )
