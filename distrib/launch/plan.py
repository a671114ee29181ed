"""Plan: what has to be started where for a cluster. Values only; nothing is started, and no host is asked.

With ps tasks, chief and workers are processes of their own. Otherwise, if there are several, one mpirun starts them.
Each ps is `distrib ps`; the evaluator runs the script beside the others.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from distrib.base.errors import ConfigError
from distrib.cluster.config import ClusterConfig
from distrib.cluster.fields import wrong
from distrib.cluster.host_port import parse_address
from distrib.cluster.spec import ClusterSpec

_TAKEN_ALONG = ("DISTRIB_", "PYTHONPATH", "OPENBLAS_", "OMP_", "MKL_")
"""How the names of the environment variables begin that go to other hosts."""

_SECRETS = ("DISTRIB_TOKEN_FILE", "DISTRIB_TLS_")


@dataclass(frozen=True)
class PlannedTask:
    """A task to start.

    Attributes:
        job: chief, worker, ps or evaluator.
        index: which one of its job.
        address: `host:port` of the cluster; port 0 until it is known.
        host: its host; `localhost` if that is this one.
        command: program and arguments.
    """

    job: str
    index: int
    address: str
    host: str
    command: tuple[str, ...]

    @property
    def name(self) -> str:
        """Such as `worker 1`."""
        return f"{self.job} {self.index}"

    @property
    def saves(self) -> bool:
        """Whether this ps writes checkpoints, so that it can come back."""
        return any(word.startswith("--checkpoint-dir") for word in self.command)

    def restored(self) -> PlannedTask:
        """This ps, where it was, from its newest checkpoint: one of this run, unless it began from another's."""
        at = self.command.index("--address") + 1
        flags = ("--restore",) if "--restore" in self.command else ("--restore", "--only-own")
        command = (*self.command[:at], self.address, *self.command[at + 1 :], *flags)
        return replace(self, command=command)


@dataclass(frozen=True)
class Plan:
    """All tasks of a cluster.

    Attributes:
        config: the cluster, and how it is launched.
        ps: parameter servers; they start first.
        trainers: chief and workers; the first one is the chief.
        evaluator: None if there is none.
        by_mpirun: whether one mpirun starts all trainers.
        needs_tls: whether a ps listens where other hosts can connect to it.
    """

    config: ClusterConfig
    ps: tuple[PlannedTask, ...]
    trainers: tuple[PlannedTask, ...]
    evaluator: PlannedTask | None
    by_mpirun: bool
    needs_tls: bool

    @property
    def tasks(self) -> tuple[PlannedTask, ...]:
        """All of them, in the order in which they start."""
        return (*self.ps, *self.trainers, *((self.evaluator,) if self.evaluator else ()))

    @property
    def share(self) -> Mapping[str, int]:
        """How many trainers share each host."""
        return {task.host: sum(other.host == task.host for other in self.trainers) for task in self.tasks}

    def with_ps(self, addresses: Sequence[str]) -> Plan:
        """The same with the addresses that the parameter servers listen on."""
        jobs = {job: _tasks(self.config.cluster, job) for job in self.config.cluster.jobs}
        jobs["ps"] = dict(zip(jobs["ps"], addresses, strict=True))
        ps = tuple(replace(task, address=address) for task, address in zip(self.ps, addresses, strict=True))
        return replace(self, config=replace(self.config, cluster=ClusterSpec(jobs)), ps=ps)

    def environ(self, task: PlannedTask) -> dict[str, str]:
        """The environment variables that define a task's role."""
        config = {"cluster": self.config.cluster.as_dict(), "task": {"type": task.job, "index": task.index}}
        return {
            **self.config.launch.env,
            "TF_CONFIG": json.dumps(config),
            "DISTRIB_STRATEGY": self.config.launch.strategy,
        }


def plan(
    config: ClusterConfig, script: Sequence[str], python: str, is_here: Callable[[str], bool], insecure: bool
) -> Plan:
    """The tasks to be started.

    Args:
        config: the cluster, and how it is launched.
        script: the script and its arguments, or `-m`, a module and its arguments.
        python: the interpreter, where the configuration names none.
        is_here: whether a host is this one.
        insecure: whether parameter servers may do without TLS.

    Raises:
        ConfigError: the strategy cannot work on these hosts.
    """
    strategy, cluster = config.launch.strategy, config.cluster
    python = config.launch.python or python
    run_script = (python, "-m", "distrib.launch.task.entrypoint", *script)

    def tasks(job: str, command: Callable[[str], tuple[str, ...]]) -> list[PlannedTask]:
        return [
            PlannedTask(job, index, address, where(parse_address(address).host), command(address))
            for index, address in _tasks(cluster, job).items()
        ]

    def where(host: str) -> str:
        return "localhost" if is_here(host) else host

    def ps_command(address: str) -> tuple[str, ...]:
        flags = ("--insecure",) if insecure and not _is_loopback(address) else ()
        return (python, "-m", "distrib", "ps", "--address", address, *flags, *config.launch.ps_arguments)

    trainers = [*tasks("chief", lambda _: run_script), *tasks("worker", lambda _: run_script)]
    hosts = {task.host for task in trainers}
    if strategy == "central_storage" and len(hosts) > 1:
        raise ConfigError(
            f"launch.strategy: central_storage expects chief and workers on one host. Received: "
            f"{', '.join(sorted(hosts))}. Over several hosts use ps-sync, or mirrored."
        )
    ps = tasks("ps", ps_command)
    elsewhere = sorted({task.host for task in (*ps, *trainers)} - {"localhost"})
    for task in ps if elsewhere else ():
        if _is_loopback(task.address):
            raise wrong(
                f"cluster.ps[{task.index}]",
                f"an address that {', '.join(elsewhere)} can connect to",
                task.address,
                "Say this host's name, as the other hosts know it.",
            )
    return Plan(
        config=config,
        ps=tuple(ps),
        trainers=tuple(trainers),
        evaluator=next(iter(tasks("evaluator", lambda _: run_script)), None),
        by_mpirun=not ps and len(trainers) > 1,
        needs_tls=not insecure and any(not _is_loopback(task.address) for task in ps),
    )


def taken_along(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that go to other hosts: what is meant for us, and for BLAS. Never secrets.

    Args:
        environ: environment variables.
    """
    return {
        name: value
        for name, value in environ.items()
        if name.startswith(_TAKEN_ALONG) and not name.startswith(_SECRETS)
    }


def _tasks(cluster: ClusterSpec, job: str) -> dict[int, str]:
    if job not in cluster.jobs:
        return {}
    return {index: cluster.task_address(job, index) for index in cluster.task_indices(job)}


def _is_loopback(address: str) -> bool:
    host = parse_address(address).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
