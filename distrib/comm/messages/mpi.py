"""Messages over MPI. mpi4py is imported by `comm/connect.py`, and only when a strategy asks for it.

Only point-to-point messages of MPI are used; the collectives are ours.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from distrib.base.arrays import Array
from distrib.comm.liveness.liveness import Liveness
from distrib.comm.liveness.protocol import Peer
from distrib.comm.messages.transport import Request, Transport

_TAG = 0x5D1


class MPITransport(Transport):
    """Messages between the ranks of an MPI job.

    Args:
        mpi: the module `mpi4py.MPI`, started.
        liveness: whether the other ranks live.

    Attributes:
        mpi: as given.
        host: name of this rank's host.
        peers: all ranks; empty before they have met.
    """

    def __init__(self, mpi: Any, liveness: Liveness) -> None:
        self.mpi, self.liveness = mpi, liveness
        self._world, self._byte = mpi.COMM_WORLD, mpi.BYTE
        self.rank, self.world_size = self._world.rank, self._world.size
        self.host = socket.gethostname()
        self.hosts = [self.host] * self.world_size
        self.cores = [sorted(os.sched_getaffinity(0))] * self.world_size
        self.job = bytes(8)
        self.peers: list[Peer] = []

    def send(self, message: Array, dest: int) -> Request:
        request: Request = self._world.Isend([message, self._byte], dest, _TAG)
        return request

    def receive(self, message: Array, source: int) -> Request:
        request: Request = self._world.Irecv([message, self._byte], source, _TAG)
        return request

    def progress(self) -> None:
        self._world.Iprobe()

    def who(self, rank: int) -> str:
        return str(self.peers[rank]) if self.peers else f"rank {rank}"
