"""The collectives between the processes of this job, which one of many launchers may have started."""

from __future__ import annotations

import os
import socket

from distrib.cluster.launched import launched
from distrib.comm.communicator import Communicator
from distrib.comm.implementations import collectives
from distrib.comm.single import SingleCommunicator
from distrib.strategies.options import CommunicationOptions
from distrib.strategies.placement import check_placement


def communicator_of_job(
    options: CommunicationOptions, log_device_placement: bool, allow_soft_placement: bool
) -> Communicator:
    """The collectives between all processes of the MPI job; of this process alone without a launcher. Collective.

    Args:
        options: how replicas talk to each other.
        log_device_placement: print host, cores and BLAS threads of every replica.
        allow_soft_placement: warn about more replicas than cores on a host; otherwise it is an error.

    Raises:
        ConfigError: a launcher started several processes, but MPI sees one; or the options do not fit them.
    """
    job = launched()
    if job is None:
        cores = [sorted(os.sched_getaffinity(0))]
        check_placement([socket.gethostname()], cores, 0, log_device_placement, allow_soft_placement)
        return SingleCommunicator()
    from distrib.comm.mpi import connect  # starts MPI

    transport = connect(job.launcher, job.world_size)
    check_placement(
        transport.hosts, transport.cores, transport.rank, log_device_placement, allow_soft_placement
    )
    return collectives(transport, options.implementation, options.timeout_s)
