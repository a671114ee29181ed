"""The collectives between the processes of this job, which one of many launchers may have started."""

from __future__ import annotations

from distrib.cluster.launched import launched
from distrib.comm.communicator import Communicator
from distrib.comm.implementations import collectives
from distrib.comm.single import SingleCommunicator
from distrib.strategies.options import CommunicationOptions


def communicator_of_job(options: CommunicationOptions) -> Communicator:
    """The collectives between all processes of the MPI job; of this process alone without a launcher. Collective.

    Raises:
        ConfigError: a launcher started several processes, but MPI sees one; or the options do not fit them.
    """
    job = launched()
    if job is None:
        return SingleCommunicator()
    from distrib.comm.mpi import connect  # starts MPI

    return collectives(connect(job.launcher, job.world_size), options.implementation, options.timeout_s)
