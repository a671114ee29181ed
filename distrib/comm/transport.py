"""Transport: messages between two ranks, without waiting. Collectives are built on it once, for all transports.

Messages between a pair of ranks arrive in the order in which they were sent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from distrib.arrays import Array
from distrib.comm.header import Header


class Request(Protocol):
    """A message under way."""

    def Test(self) -> bool:  # noqa: N802  (the name that mpi4py's requests have)
        """Whether the message is done: sent memory may be reused, received memory be read."""


class Transport(ABC):
    """Point-to-point messages of one rank.

    Attributes:
        rank: position of this process, from 0.
        world_size: number of processes.
        job: 8 random bytes that all ranks of one job share.
        sequence: number of collectives begun so far.
    """

    rank: int
    world_size: int
    job: bytes
    sequence: int = 0

    @abstractmethod
    def send(self, message: Array, dest: int) -> Request:
        """Begin to send a contiguous array. It must not change before the request is done."""

    @abstractmethod
    def receive(self, message: Array, source: int) -> Request:
        """Begin to receive into a contiguous array, of the size that is sent or larger."""

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
    def absent(self, sequence: int) -> str:
        """Which ranks have not entered collective `sequence`, in words; empty where that is not known."""

    @abstractmethod
    def who(self, rank: int) -> str:
        """A rank in words: `rank 2 (host, pid 123)`."""

    @abstractmethod
    def close(self) -> None:
        """Leave the job in good order, when every rank has called it."""
