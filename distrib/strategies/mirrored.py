"""MirroredStrategy: a copy of the values on every replica, always identical; gradients combined by all-reduce.

    with MirroredStrategy().scope(): ...        # started by `mpirun -n 8 python train.py`

How the replicas combine gradients and stay identical: `strategies/update/sharded_update.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrib.base.logs import LOGGER
from distrib.comm.communicator import Communicator
from distrib.nn.network import Network
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.strategies.collective_strategy import CollectiveStrategy
from distrib.strategies.mpi_job import communicator_of_job
from distrib.strategies.options import CommunicationOptions
from distrib.strategies.update.sharded_state import sharded_training
from distrib.strategies.update.training import Training
from distrib.strategies.update.updater import NonFinitePolicy


class MirroredStrategy(CollectiveStrategy):
    """Synchronous training on the processes that `mpirun` started.

    Without a launcher this process is the only replica, and MPI is not started.

    Args:
        communication_options: how replicas talk to each other.
        communicator: the collectives to use; by default over all processes of the MPI job. Tests pass
            one over threads.
        log_device_placement: print host, cores and BLAS threads of every replica, and which collectives they use.
        allow_soft_placement: warn about more replicas than cores on a host; otherwise it is an error.
        devices: accepted for TensorFlow's sake, also as the first argument: a process is one replica.
        cross_device_ops: likewise.

    Raises:
        ConfigError: several processes were promised, but MPI sees fewer; or the options do not fit them.
    """

    def __init__(
        self,
        communication_options: CommunicationOptions | None = None,
        communicator: Communicator | None = None,
        log_device_placement: bool = False,
        allow_soft_placement: bool = True,
        devices: Any = None,
        cross_device_ops: Any = None,
    ) -> None:
        if isinstance(communication_options, list | tuple | str):  # TensorFlow's first argument
            devices, communication_options = communication_options, None
        if devices is not None or cross_device_ops is not None:
            LOGGER.info(
                "MirroredStrategy has one replica in each process: start as many with mpirun -n. devices=%r and "
                "cross_device_ops=%r have no effect.",
                devices,
                cross_device_ops,
            )
        self._options = communication_options or CommunicationOptions()
        self.communicator = communicator or communicator_of_job(
            self._options, log_device_placement, allow_soft_placement
        )

    def training(
        self,
        network: Network,
        optimizer: Optimizer,
        on_nonfinite: NonFinitePolicy,
        description: Mapping[str, Any],
    ) -> Training:
        communicator, buffer = self.communicator, network.buffer
        buffer.rebind(communicator.shared(buffer.values), communicator.shared(buffer.grads))
        communicator.broadcast(buffer.values)
        return sharded_training(communicator, network, optimizer, on_nonfinite, self._options)
