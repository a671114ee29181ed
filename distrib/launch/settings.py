"""Settings: what the launcher needs to know beside the plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from distrib.base import environment
from distrib.host.addresses import own_address
from distrib.launch.backends import mpirun, ssh
from distrib.launch.backends.mpirun import Mpi
from distrib.launch.plan import Plan
from distrib.launch.task import entrypoint

_OWN = tuple(each.name for each in (environment.RUN_ID, environment.START, environment.TTY))
"""Variables that an attempt adds to the environment of its tasks."""


@dataclass(frozen=True)
class Settings:
    """How a plan is started.

    Attributes:
        log_dir: folder of the logs.
        tee: show the output of all tasks, not only the chief's.
        grace_s: seconds that tasks have to save and end after SIGTERM or SIGINT.
        evaluator_s: seconds that the evaluator has after the chief's end.
        command: the command line that starts a supervisor on a host.
        environ: environment variables of every task.
        secrets: contents of files, by the variable that names the file.
        workdir: folder on the hosts.
        mpi: None where mpirun is not needed.
        ssh_options: arguments of every ssh.
    """

    log_dir: Path
    tee: bool
    grace_s: float
    evaluator_s: float
    command: Callable[[str], list[str]]
    environ: Mapping[str, str]
    secrets: Mapping[str, str]
    workdir: str
    mpi: Mpi | None = None
    ssh_options: tuple[str, ...] = ()

    def mpirun(self, plan: Plan) -> list[str]:
        """The command line of the mpirun that starts the plan's chief and workers."""
        assert self.mpi is not None
        hosts = [task.host for task in plan.trainers]
        names = list(dict.fromkeys([*self.environ, *plan.environ(plan.trainers[0]), *_OWN]))
        options = plan.config.launch.mpirun_options
        program = entrypoint.in_one_word(plan.trainers[0].command)
        others = dict.fromkeys(host for host in hosts if host != "localhost")
        address = own_address(others) if others else ""
        return mpirun.command(self.mpi, hosts, program, names, self.workdir, options, address)

    def ssh(self, plan: Plan) -> list[str]:
        """Ssh with its options, as it reaches the hosts of the plan's chief and workers."""
        others = {task.host for task in plan.trainers} - {"localhost"}
        return ssh.program(tuple(sorted(others)), self.ssh_options, False) if others else []
