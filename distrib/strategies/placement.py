"""Placement: which cores each replica may use, and whether there are enough."""

from __future__ import annotations

from collections.abc import Sequence

from distrib.base.errors import ConfigError
from distrib.base.logs import LOGGER
from distrib.comm.collectives.hierarchical import ranks_by_host


def check_placement(hosts: list[str], cores: Sequence[Sequence[int]], rank: int, allow_soft: bool) -> None:
    """Notice replicas that have no core of their own.

    Args:
        hosts: name of the host of each rank.
        cores: the cores that each rank may run on.
        rank: this rank; rank 0 does the talking.
        allow_soft: warn about more replicas than cores; otherwise it is an error.

    Raises:
        ConfigError: on every rank, if a host has more replicas than cores, unless that is allowed.
    """
    for group in ranks_by_host(hosts):
        available = set().union(*(cores[member] for member in group))
        if len(group) > len(available):
            found = (
                f"{len(group)} replicas on host {hosts[group[0]]} share {len(available)} cores "
                f"({ranges_of(available)}), so they wait for each other."
            )
            if not allow_soft:
                raise ConfigError(f"{found} Start fewer of them there, or pass allow_soft_placement=True.")
            if rank == 0:
                LOGGER.warning("%s Start fewer of them there.", found)


def placement(hosts: list[str], cores: Sequence[Sequence[int]], threads: Sequence[int]) -> list[str]:
    """A line for each replica: its host, cores and BLAS threads.

    Args:
        hosts: name of the host of each rank.
        cores: the cores that each rank may run on.
        threads: the BLAS threads that each was found to have.
    """
    ranks = enumerate(zip(hosts, cores, threads, strict=True))
    return [
        f"replica {rank}: host {host}, cores {ranges_of(mine)}, {number} BLAS threads"
        for rank, (host, mine, number) in ranks
    ]


def ranges_of(cores: Sequence[int] | set[int]) -> str:
    """Cores in few characters: `0-3,6`."""
    found: list[list[int]] = []
    for core in sorted(cores):
        if found and core == found[-1][1] + 1:
            found[-1][1] = core
        else:
            found.append([core, core])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in found)
