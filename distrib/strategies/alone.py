"""Detects processes that would train alone by mistake, although a launcher has started several."""

from __future__ import annotations

from distrib.base import environment
from distrib.base.errors import ConfigError
from distrib.cluster.launcher_env import launched, started_as_one_of_several
from distrib.cluster.resolve import resolve
from distrib.strategies.default import DefaultStrategy
from distrib.strategies.strategy import Strategy

"""Set to 1 where the processes that a launcher starts are independent on purpose."""


def check_not_alone(strategy: Strategy, what: str) -> None:
    """Raise `ConfigError` if a strategy has one replica in a process that was started as one of several.

    An evaluator is alone, and so is the one worker of a cluster with parameter servers.

    Args:
        strategy: that trains the model.
        what: is trained, for the error message.
    """
    if strategy.num_replicas_in_sync > 1 or environment.flag(environment.ALLOW_ALONE):
        return
    task = resolve()
    job = started_as_one_of_several()
    if task.type in ("evaluator", "ps") or (job is None and task.num_workers <= 1):
        return
    if job is not None:
        who = f"{job.launcher} started {job.world_size} processes, of which this is number {job.rank}"
    else:
        who = f"the cluster has {task.num_workers} workers, of which this is {task}"
    advice: list[str] = []
    if isinstance(strategy, DefaultStrategy):
        advice.append(
            "Train in `with strategy.scope():`, where strategy = distrib.MirroredStrategy() for one."
        )
    if launched() is None:
        advice.append(
            "Start the processes so that they find each other: with mpirun, with distrib launch, or with srun "
            "--mpi=pmix where the MPI is Open MPI and srun --mpi=pmi2 where it is MPICH."
        )
    raise ConfigError(
        f"{what} would be trained in this process alone ({type(strategy).__name__}, one replica), but "
        f"{who}. Each would train all of it. {' '.join(advice)} If they are independent of each other on purpose, "
        f"set {environment.ALLOW_ALONE.name}=1."
    )
