"""The strategy that fits the cluster, so that one script runs on any of them."""

from __future__ import annotations

from distrib.base import environment
from distrib.base.errors import ConfigError
from distrib.cluster.launch_options import STRATEGIES
from distrib.cluster.resolve import resolve
from distrib.cluster.resolvers import ClusterResolver
from distrib.strategies.central_storage import CentralStorageStrategy
from distrib.strategies.default import DefaultStrategy
from distrib.strategies.mirrored import MirroredStrategy
from distrib.strategies.mpi_job import mpi_job
from distrib.strategies.parameter_server import ParameterServerStrategy
from distrib.strategies.strategy import Strategy


def strategy_from_cluster(resolver: ClusterResolver | None = None) -> Strategy:
    """The strategy that fits the cluster of this process.

    With ps tasks that is `ParameterServerStrategy`, on several processes of an MPI job `MirroredStrategy`, and alone,
    or in an evaluator, `DefaultStrategy`. `distrib launch` says in DISTRIB_STRATEGY if it is to be another one.

    Args:
        resolver: knows the cluster and the task; by default the environment does.

    Raises:
        ConfigError: the cluster is invalid, or DISTRIB_STRATEGY does not fit it.
    """
    task = resolve(resolver)
    wanted = environment.text(environment.STRATEGY)
    if wanted and wanted not in STRATEGIES:
        raise ConfigError(f"DISTRIB_STRATEGY: expected one of {', '.join(STRATEGIES)}. Received: {wanted!r}.")
    if task.type == "evaluator":
        return DefaultStrategy()
    if task.ps and wanted and not wanted.startswith("ps-"):
        raise ConfigError(
            f"DISTRIB_STRATEGY: expected ps-sync or ps-async, as the cluster has ps. Received: {wanted!r}."
        )
    if task.ps or wanted.startswith("ps-"):
        mode = wanted.removeprefix("ps-") if wanted.startswith("ps-") else "sync"
        return ParameterServerStrategy(resolver, mode=mode)
    if mpi_job(task) is None or wanted == "default":
        return DefaultStrategy()
    return CentralStorageStrategy() if wanted == "central_storage" else MirroredStrategy()
