"""Placement: which cores each replica may use, and whether there are enough."""

from __future__ import annotations

from collections.abc import Sequence

from distrib.comm.cores import threads_of_rank
from distrib.comm.hierarchical import ranks_by_host
from distrib.errors import ConfigError
from distrib.logs import LOGGER, tell


def check_placement(
    hosts: list[str], cores: Sequence[Sequence[int]], rank: int, log: bool, allow_soft: bool
) -> None:
    """Say where the replicas are, and notice those that have no core of their own.

    Args:
        hosts: name of the host of each rank.
        cores: the cores that each rank may run on.
        rank: this rank; rank 0 does the talking.
        log: list every replica, its host, cores and BLAS threads.
        allow_soft: warn about more replicas than cores; otherwise it is an error.

    Raises:
        ConfigError: on every rank, if a host has more replicas than cores, unless that is allowed.
    """
    if rank == 0 and log:
        for line in placement(hosts, cores):
            tell(line)
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


def placement(
    hosts: list[str], cores: Sequence[Sequence[int]], threads: Sequence[int] | None = None
) -> list[str]:
    """A line for each replica: its host, cores and BLAS threads.

    Args:
        hosts: name of the host of each rank.
        cores: the cores that each rank may run on.
        threads: the BLAS threads that each was found to have; by default, its share of the cores.
    """
    lines = []
    for rank, host in enumerate(hosts):
        neighbours = [set(each) for each, there in zip(cores, hosts, strict=True) if there == host]
        number = threads[rank] if threads else threads_of_rank(set(cores[rank]), neighbours)
        lines.append(f"replica {rank}: host {host}, cores {ranges_of(cores[rank])}, {number} BLAS threads")
    return lines


def ranges_of(cores: Sequence[int] | set[int]) -> str:
    """Cores in few characters: `0-3,6`."""
    found: list[list[int]] = []
    for core in sorted(cores):
        if found and core == found[-1][1] + 1:
            found[-1][1] = core
        else:
            found.append([core, core])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in found)
