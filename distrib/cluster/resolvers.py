"""Cluster resolvers, with TensorFlow's names: each knows a source of the cluster and of this process's task."""

from __future__ import annotations

import os
from abc import abstractmethod

from distrib.base.arguments import HasArguments
from distrib.base.errors import ConfigError
from distrib.cluster.config import ClusterConfig, config_from_environment
from distrib.cluster.fields import index
from distrib.cluster.launcher_env import launched
from distrib.cluster.spec import ClusterSpec


class ClusterResolver(HasArguments):
    """Base of all resolvers.

    Attributes:
        task_type: what this process is; None if it is not known.
        task_id: its index in that job; None if it is not known.
        environment: where it runs, for those who ask.
        rpc_layer: how tasks talk, for those who ask.
        is_partial: whether the cluster lacks workers, so that no training is possible.
    """

    is_partial = False
    task_type: str | None
    task_id: int | None
    environment: str | None
    rpc_layer: str | None

    @abstractmethod
    def cluster_spec(self) -> ClusterSpec:
        """All tasks; empty where this process is alone."""


class SimpleClusterResolver(ClusterResolver):
    """Resolves to the cluster spec and task that it is given.

    Args:
        cluster_spec: all tasks.
        master: not supported: nothing is asked of a master.
        task_type: what this process is.
        task_id: its index in that job.
        environment: for those who ask.
        num_accelerators: not supported: there are none.
        rpc_layer: for those who ask.

    Raises:
        ConfigError: an argument that is not supported.
    """

    def __init__(
        self,
        cluster_spec: ClusterSpec,
        master: str = "",
        task_type: str | None = None,
        task_id: int | None = None,
        environment: str | None = "",
        num_accelerators: None = None,
        rpc_layer: str | None = None,
    ) -> None:
        for name, value in (("master", master), ("num_accelerators", num_accelerators)):
            if value:
                raise ConfigError(
                    f"SimpleClusterResolver does not support {name}. Received: {name}={value!r}. Leave it out; this "
                    'process is described as: SimpleClusterResolver(cluster_spec, task_type="worker", task_id=0).'
                )
        self._cluster_spec = ClusterSpec(cluster_spec)
        self.task_type, self.task_id = task_type, task_id
        self.environment, self.rpc_layer = environment, rpc_layer

    def cluster_spec(self) -> ClusterSpec:
        return self._cluster_spec


class TFConfigClusterResolver(SimpleClusterResolver):
    """Says what the environment variable TF_CONFIG says now.

    Args:
        task_type: instead of what TF_CONFIG says.
        task_id: instead of what TF_CONFIG says.
        rpc_layer: instead of what TF_CONFIG says.
        environment: instead of what TF_CONFIG says.

    Raises:
        ConfigError: TF_CONFIG is invalid; the message has the path of the field.
    """

    def __init__(
        self,
        task_type: str | None = None,
        task_id: int | None = None,
        rpc_layer: str | None = None,
        environment: str | None = None,
    ) -> None:
        config = config_from_environment(os.environ) or ClusterConfig()
        self.is_partial = config.is_partial
        super().__init__(
            config.cluster,
            task_type=config.task_type if task_type is None else task_type,
            task_id=config.task_id if task_id is None else index(task_id, "task_id"),
            environment=config.environment if environment is None else environment,
            rpc_layer=config.rpc_layer if rpc_layer is None else rpc_layer,
        )


class MPIClusterResolver(SimpleClusterResolver):
    """Says what mpirun or srun says in its environment variables: every rank is a worker. MPI is not started.

    MPI finds its processes itself, so an address holds the rank only, as in `rank-1:0`.

    Raises:
        ConfigError: no MPI launcher started this process.
    """

    def __init__(self) -> None:
        job = launched()
        if job is None:
            raise ConfigError(
                "MPIClusterResolver expects a process that mpirun or srun started. Received: none."
            )
        cluster = mpi_cluster(job.rank, job.world_size)
        super().__init__(cluster, task_type="worker", task_id=job.rank, rpc_layer="mpi")


def mpi_cluster(rank: int, world_size: int) -> ClusterSpec:
    """The cluster of an MPI job, where every rank is a worker.

    Args:
        rank: of this process.
        world_size: number of ranks; 0 where it is not known.
    """
    return ClusterSpec({"worker": [f"rank-{other}:0" for other in range(max(world_size, rank + 1))]})
