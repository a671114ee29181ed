"""Selects an implementation of the collectives; `auto` decides by the hosts of the ranks."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from distrib.base.errors import ConfigError
from distrib.base.logs import LOGGER, tell
from distrib.comm.collectives.hierarchical import HierarchicalCommunicator, ranks_by_host
from distrib.comm.collectives.mpi_native import MPICommunicator
from distrib.comm.collectives.ring import RingCommunicator
from distrib.comm.collectives.shared_memory import NoSharedMemoryError, SharedMemoryCommunicator
from distrib.comm.collectives.single import SingleCommunicator
from distrib.comm.communicator import Communicator
from distrib.comm.messages.transport import Transport

Implementation: TypeAlias = Literal["auto", "ring", "shared_memory", "hierarchical", "mpi"]
IMPLEMENTATIONS: tuple[str, ...] = get_args(Implementation)


def choose(hosts: list[str]) -> Implementation:
    """What `auto` means for ranks on these hosts (one name for each rank).

    Shared memory on one host. Over hosts, shared memory inside and rings between them, if every host has the same
    number of ranks, more than one; else one ring of all ranks.
    """
    sizes = {len(group) for group in ranks_by_host(hosts)}
    if len(set(hosts)) == 1:
        return "shared_memory"
    return "hierarchical" if len(sizes) == 1 and sizes != {1} else "ring"


def collectives(
    transport: Transport, implementation: Implementation, timeout_s: float, show: bool = False
) -> Communicator:
    """The collectives between all ranks of a transport. Collective.

    Args:
        transport: moves messages between them.
        implementation: one of `IMPLEMENTATIONS`. `auto` falls back to the ring where memory cannot be shared.
        timeout_s: seconds to wait for another rank in a collective.
        show: print the choice, which is logged otherwise (once, on rank 0, at the level INFO).

    Raises:
        ConfigError: this implementation is not possible between these ranks.
    """
    if transport.world_size == 1:
        return SingleCommunicator()
    chosen, reason = implementation, ""
    if implementation == "auto":
        chosen, communicator, reason = _chosen(transport, timeout_s)
    else:
        communicator = _make(transport, implementation, timeout_s)
    if transport.rank == 0:
        num_hosts = len(set(transport.hosts))
        line = f"{transport.world_size} ranks on {num_hosts} host(s): implementation {chosen}"
        (tell if show else LOGGER.info)(line)
        if reason:
            LOGGER.warning("The ranks use a ring of messages, which is slower: %s", reason)
    return communicator


def _chosen(transport: Transport, timeout_s: float) -> tuple[Implementation, Communicator, str]:
    """The choice of `auto`, and why it is not the fastest one."""
    chosen, reason = choose(transport.hosts), ""
    ring = RingCommunicator(transport, timeout_s)
    try:
        communicator = _make(transport, chosen, timeout_s)
    except NoSharedMemoryError as error:
        reason = str(error)
    # Memory may be shared on one host and not on another; but all ranks must use the same collectives.
    reasons = [text.decode() for text in ring.gather_bytes(reason.encode())]
    reason = next(filter(None, reasons), "")
    return ("ring", ring, reason) if reason else (chosen, communicator, "")


def _make(transport: Transport, implementation: Implementation, timeout_s: float) -> Communicator:
    if implementation == "mpi":
        from distrib.comm.messages.mpi import MPITransport  # with what watches over an MPI job

        if not isinstance(transport, MPITransport):
            raise ConfigError(f"implementation='mpi' needs an MPI job. Received: {type(transport).__name__}.")
        return MPICommunicator(transport, transport.mpi, timeout_s)
    if implementation == "hierarchical":
        return HierarchicalCommunicator(transport, timeout_s)
    if implementation == "shared_memory":
        if len(set(transport.hosts)) > 1:
            raise ConfigError(
                "implementation='shared_memory' expects all ranks on one host. Received: ranks on "
                f"{', '.join(dict.fromkeys(transport.hosts))}. Use 'hierarchical'."
            )
        return SharedMemoryCommunicator(transport, timeout_s)
    return RingCommunicator(transport, timeout_s)
