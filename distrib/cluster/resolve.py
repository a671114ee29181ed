"""Finds out which task of which cluster this process is: the first source that knows decides.

1. the resolver that a caller passes
2. the file that DISTRIB_CLUSTER_FILE names
3. TF_CONFIG
4. the MPI launcher's variables: rank r is worker r
5. none: this process is alone

A file or a TF_CONFIG without a task is meant for all processes: under an MPI launcher, the chief and the workers are
the ranks in their order.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from distrib.base import environment
from distrib.base.errors import ConfigError
from distrib.cluster.checks import check_cluster, check_task
from distrib.cluster.config import ClusterConfig, config_from_environment, read_config
from distrib.cluster.fields import wrong
from distrib.cluster.launcher_env import Launched, launched
from distrib.cluster.resolvers import ClusterResolver, mpi_cluster
from distrib.cluster.spec import ClusterSpec, jobs_of
from distrib.cluster.task import Task

ALONE = Task("worker", 0, ClusterSpec({}))
"""A process that belongs to no cluster."""


def resolve(resolver: ClusterResolver | None = None, environ: Mapping[str, str] | None = None) -> Task:
    """Find out who this process is.

    Args:
        resolver: knows it; by default the environment does.
        environ: environment variables; `os.environ` by default.

    Raises:
        ConfigError: a source is invalid, or does not say which task this process is.
    """
    environ = os.environ if environ is None else environ
    if resolver is not None:
        return _told_by(resolver)
    job = launched(environ)
    source = environment.text(environment.CLUSTER_FILE, environ) or "TF_CONFIG"
    config = _configured(environ)
    if config.task_type is not None and config.task_id is not None:
        _check_complete(config.is_partial, config.task_type, config.cluster, source)
        return Task(config.task_type, config.task_id, config.cluster)
    if config.cluster:
        return _by_rank(config.cluster, job, source)
    return ALONE if job is None else Task("worker", job.rank, mpi_cluster(job.rank, job.world_size))


def _configured(environ: Mapping[str, str]) -> ClusterConfig:
    file = environment.text(environment.CLUSTER_FILE, environ)
    return read_config(file) if file else config_from_environment(environ) or ClusterConfig()


def _by_rank(cluster: ClusterSpec, job: Launched | None, source: str) -> Task:
    ranks = [
        (type, i) for type in ("chief", "worker") if type in cluster.jobs for i in cluster.task_indices(type)
    ]
    if job is None:
        raise ConfigError(
            f"{source}: task: expected the type and index of this process, as no MPI launcher started it. "
            "Received: none."
        )
    if job.rank >= len(ranks) or job.world_size not in (0, len(ranks)):
        raise ConfigError(
            f"{source}: cluster: expected a chief or worker for each of {job.world_size} ranks of {job.launcher}. "
            f"Received: {len(ranks)} of them."
        )
    return Task(*ranks[job.rank], cluster)


def _told_by(resolver: ClusterResolver) -> Task:
    cluster, task_type, task_id = resolver.cluster_spec(), resolver.task_type, resolver.task_id
    path = type(resolver).__name__
    jobs = jobs_of(cluster.as_dict(), f"{path}: cluster")
    if task_type is None and not cluster:
        return ALONE
    if task_type is None:
        raise ConfigError(f"{path}: task_type: expected what this process is. Received: none.")
    check_cluster(jobs, task_type, f"{path}: cluster")
    _check_complete(resolver.is_partial, task_type, cluster, path)
    return Task(task_type, check_task(jobs, task_type, task_id, f"{path}: task"), cluster)


def _check_complete(is_partial: bool, task_type: str, cluster: ClusterSpec, source: str) -> None:
    """Raise `ConfigError` for one that trains and does not know with how many others."""
    if is_partial and task_type in ("chief", "worker"):
        raise wrong(
            f"{source}: sparseCluster",
            "`cluster`, with all workers",
            cluster.as_dict(),
            "It does not say how many train. Under Kubeflow leave enableDynamicWorker out.",
        )
