"""CentralStorageStrategy: one copy of the values on the host, which every replica reads in place.

Gradients are combined as under `MirroredStrategy`, and each replica updates the range it owns, in place: there is
nothing to gather. So a replica more costs the memory of its gradients and activations, not of another model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrib.base.errors import ConfigError
from distrib.comm.communicator import Communicator
from distrib.nn.network import Network
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.strategies.collective_strategy import CollectiveStrategy
from distrib.strategies.mpi_job import communicator_of_job
from distrib.strategies.options import CommunicationOptions
from distrib.strategies.update.sharded_state import sharded_training
from distrib.strategies.update.training import Training
from distrib.strategies.update.updater import NonFinitePolicy


class CentralStorageStrategy(CollectiveStrategy):
    """Synchronous training on the processes that `mpirun` started on one host, with one copy of the values.

    Without a launcher this process is the only replica, and MPI is not started. While a model is trained, its values
    are common: what one replica assigns, all read.

    Args:
        communication_options: how replicas talk to each other; `implementation` is `"auto"` or `"shared_memory"`;
            `bucket_bytes` and `compression` are not used, for no gradient is sent.
        communicator: the collectives to use; by default over all processes of the MPI job. Tests pass
            one over threads.
        log_device_placement: print host, cores and BLAS threads of every replica, and which collectives they use.
        allow_soft_placement: warn about more replicas than cores on a host; otherwise it is an error.

    Raises:
        ConfigError: the processes are on several hosts, or cannot share memory.
    """

    def __init__(
        self,
        communication_options: CommunicationOptions | None = None,
        communicator: Communicator | None = None,
        log_device_placement: bool = False,
        allow_soft_placement: bool = True,
    ) -> None:
        options = communication_options or CommunicationOptions()
        # What is for messages has no use here; variables that are not trained are not common, and may drift.
        self._options = CommunicationOptions(check_every=options.check_every)
        self.communicator = communicator or communicator_of_job(
            options, log_device_placement, allow_soft_placement
        )
        if not self.communicator.has_common_memory:
            raise ConfigError(
                "CentralStorageStrategy keeps one copy of the values in memory that all replicas share, on one host. "
                f"Received: {self.communicator.world_size} replicas without such memory "
                f"({type(self.communicator).__name__}). Over several hosts use ParameterServerStrategy or "
                "MirroredStrategy."
            )

    def training(
        self,
        network: Network,
        optimizer: Optimizer,
        on_nonfinite: NonFinitePolicy,
        description: Mapping[str, Any],
    ) -> Training:
        communicator, buffer = self.communicator, network.buffer
        buffer.rebind(communicator.common(buffer.values), communicator.shared(buffer.grads))
        return sharded_training(communicator, network, optimizer, on_nonfinite, self._options)
