"""The collectives between the processes of this job, which one of many launchers may have started."""

from __future__ import annotations

import json
import os
import socket

import numpy as np

from distrib.base.errors import ConfigError, ProtocolError
from distrib.base.logs import tell
from distrib.base.tree_diff import differing, flatten
from distrib.cluster.launcher_env import Launched, launched
from distrib.cluster.resolve import resolve
from distrib.cluster.task import Task
from distrib.comm.collectives.single import SingleCommunicator
from distrib.comm.communicator import Communicator
from distrib.comm.select import collectives
from distrib.host.blas_threads import blas_threads
from distrib.strategies.options import CommunicationOptions
from distrib.strategies.placement import check_placement, placement


def communicator_of_job(
    options: CommunicationOptions, log_device_placement: bool, allow_soft_placement: bool
) -> Communicator:
    """The collectives between all processes of the MPI job; of this process alone without a launcher. Collective.

    An evaluator is alone, however it was started.

    Args:
        options: how replicas talk to each other.
        log_device_placement: print host, cores and BLAS threads of every replica, and which collectives they use.
        allow_soft_placement: warn about more replicas than cores on a host; otherwise it is an error.

    Raises:
        ConfigError: several processes were promised, but MPI sees fewer; or the options do not fit them.
        ProtocolError: the ranks have different cluster specs.
    """
    task = resolve()
    job = mpi_job(task)
    if job is None:
        alone = SingleCommunicator()
        if log_device_placement:
            _log_placement(alone, [socket.gethostname()], [sorted(os.sched_getaffinity(0))])
        return alone
    from distrib.comm.connect import connect  # starts MPI

    transport = connect(job.launcher, job.world_size)
    check_placement(transport.hosts, transport.cores, transport.rank, allow_soft_placement)
    found = collectives(transport, options.implementation, options.timeout_s, show=log_device_placement)
    if log_device_placement:
        _log_placement(found, transport.hosts, transport.cores)
    _agree_on_cluster(found, task)
    return found


def _log_placement(communicator: Communicator, hosts: list[str], cores: list[list[int]]) -> None:
    """List every replica, its host, cores, and the BLAS threads that it really has. Collective."""
    threads = communicator.gather_scalars(np.array([float(blas_threads())]))[:, 0]
    if communicator.rank == 0:
        for line in placement(hosts, cores, [int(number) for number in threads]):
            tell(line)


def _agree_on_cluster(communicator: Communicator, task: Task) -> None:
    """Raise `ProtocolError` on every rank if they have different cluster specs. Collective."""
    mine = json.dumps(task.cluster.as_dict(), sort_keys=True)
    specs = [flatten(json.loads(text), "cluster") for text in communicator.gather_bytes(mine.encode())]
    for field in differing(specs):
        values = ", ".join(f"rank {rank}: {each.get(field)!r}" for rank, each in enumerate(specs))
        raise ProtocolError(
            f"The ranks have different cluster specs. {field}: {values}. All need the same TF_CONFIG or file."
        )


def mpi_job(task: Task) -> Launched | None:
    """The MPI job whose ranks train together with this task; None if it trains, or evaluates, alone.

    Args:
        task: who this process is.

    Raises:
        ConfigError: the cluster has other workers than the MPI job has ranks. They would each train alone.
    """
    if task.type == "evaluator":
        return None
    job = launched()
    num_ranks = 1 if job is None else job.world_size
    if num_ranks and num_ranks != task.num_workers:
        started = (
            "no MPI launcher started this process" if job is None else f"{job.launcher} started {num_ranks}"
        )
        raise ConfigError(
            f"The cluster has {task.num_workers} workers that train together through MPI, but {started}. "
            f"Use distrib launch, or mpirun -n {task.num_workers}."
        )
    return job
