"""TaskLauncher: starts the tasks of a plan as processes, each with its log."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from distrib.base import environment
from distrib.launch.backends import mpirun
from distrib.launch.backends.mpirun import ByRank
from distrib.launch.plan import Plan, PlannedTask
from distrib.launch.run.process_group import Process, ProcessGroup
from distrib.launch.run.task_logs import TaskLog
from distrib.launch.settings import Settings
from distrib.launch.task.exit_record import ExitRecord


class TaskLauncher:
    """Starts the tasks of one attempt.

    Args:
        group: listens to the processes.
        settings: how they are started.
        run: name of the run and number of the start.

    Attributes:
        logs: by the name of the task; `mpirun` has one too.
    """

    def __init__(self, group: ProcessGroup, settings: Settings, run: tuple[str, int]) -> None:
        self._group, self._settings = group, settings
        self._run, self._start = run
        self.logs: dict[str, TaskLog] = {}
        self._processes: dict[str, Process] = {}

    def record(self, name: str) -> ExitRecord | None:
        """The exit record of a task in this attempt; None if it has written none."""
        record = self.logs[name].record
        return record if record is not None and record.run == f"{self._run}.{self._start}" else None

    def codes(self) -> dict[str, int | None]:
        """Exit code of each task that was started; of a rank what it has said itself, None if it said nothing."""
        codes: dict[str, int | None] = {}
        for name in self.logs:
            record = self.record(name)
            said = record.code if record is not None else None
            codes[name] = self._processes[name].code if name in self._processes else said
        return codes

    def task(self, plan: Plan, task: PlannedTask) -> Process:
        """Start one task of a plan."""
        secrets = {} if task is plan.evaluator else self._settings.secrets  # it connects to no other task
        job = self._job(plan, task, list(task.command), self._settings.workdir, secrets)
        command = self._settings.command(task.host)
        log = self._log(plan, task.name)
        self._processes[task.name] = process = Process(task.name, task.host, command, job, log.write)
        return self._group.add(process)

    def mpirun(self, plan: Plan) -> Process:
        """Start all trainers of a plan."""
        mpi = self._settings.mpi
        assert mpi is not None
        chief = plan.trainers[0]
        by_rank = {stream: ByRank(mpi.kind) for stream in ("stdout", "stderr")}
        logs = [self._log(plan, task.name) for task in plan.trainers]
        own = self._log(plan, "mpirun")

        def on_output(stream: str, data: bytes) -> None:
            for rank, piece in by_rank[stream].feed(data):
                (own if rank is None else logs[rank]).write(stream, piece)

        job = self._job(plan, chief, self._settings.mpirun(plan), "", {})
        job["environ"] |= mpirun.variables(mpi, self._settings.ssh(plan))
        job["folder"] = mpirun.FOLDER if mpi.kind == "Open MPI" else ""
        job["blocked"] = mpi.blocked_signals
        command = self._settings.command("localhost")
        self._processes["mpirun"] = process = Process("mpirun", "localhost", command, job, on_output)
        return self._group.add(process)

    def _job(
        self, plan: Plan, task: PlannedTask, command: list[str], workdir: str, secrets: Mapping[str, str]
    ) -> dict[str, Any]:
        is_chief = task is plan.trainers[0]
        environ = {
            **self._settings.environ,
            **plan.environ(task),
            environment.RUN_ID.name: self._run,
            environment.START.name: str(self._start),
            environment.TTY.name: "1" if is_chief and self._shows_a_moving_bar() else "0",
        }
        return {
            "command": command,
            "workdir": workdir,
            "environ": environ,
            "files": dict(secrets),
            "folder": "",
            "blocked": [],
            "share": 1 if plan.by_mpirun else plan.share[task.host],
            "silence_s": 0.0 if task.host == "localhost" else 30.0,
        }

    def _shows_a_moving_bar(self) -> bool:
        return sys.stdout.isatty() and not (self._settings.mpi and self._settings.mpi.kind == "Open MPI")

    def _log(self, plan: Plan, name: str) -> TaskLog:
        if name not in self.logs:
            is_chief = name == plan.trainers[0].name
            path = self._settings.log_dir / f"{name.replace(' ', '-')}.log"
            prefix = None if is_chief else f"[{name}] "
            self.logs[name] = log = TaskLog(path, prefix, self._settings.tee or is_chief)
            if self._start > 1:
                log.note(f"--- start {self._start} ---")
        return self.logs[name]
