"""TrainerGroup: the chief and the workers of one attempt, as separate processes or under mpirun.

A worker around parameter servers may be lost: the others take over what it leased, and it may be started again. How
the chief has ended, or mpirun with its ranks, is how the start has ended.
"""

from __future__ import annotations

import time

from distrib.base.errors import PeerLostError
from distrib.launch.plan import Plan, PlannedTask
from distrib.launch.run.backoff import TRIES, WorkerRestarts
from distrib.launch.run.console import say
from distrib.launch.run.failures import Failures
from distrib.launch.run.process_group import Process
from distrib.launch.run.restarts import Restarts
from distrib.launch.run.result import Result
from distrib.launch.run.root_cause import failures_of_mpirun
from distrib.launch.run.task_launcher import TaskLauncher


class TrainerGroup:
    """Chief and workers of one start.

    Args:
        launcher: starts them.
        failures: those of the start.
        result: of the start.
        restarts: how often a worker may be started again.

    Attributes:
        processes: the chief's and then the workers', or mpirun's; none before they start.
    """

    def __init__(
        self, launcher: TaskLauncher, failures: Failures, result: Result, restarts: Restarts
    ) -> None:
        self._launcher, self._failures, self._result = launcher, failures, result
        self._restarts = restarts
        self._worker_restarts = WorkerRestarts()
        self.processes: list[Process] = []

    @property
    def chief(self) -> Process | None:
        """The process whose end ends the start; None before it starts."""
        return self.processes[0] if self.processes else None

    def start(self, plan: Plan) -> None:
        """Start them all."""
        self._plan = plan
        if plan.by_mpirun:
            self.processes = [self._launcher.mpirun(plan)]
        else:
            self.processes = [self._start(task) for task in plan.trainers]

    def look(self) -> None:
        """Look at what has happened to the workers, and start those that are due again."""
        for process in self.processes[1:]:
            if self._failures.is_new(process):
                self._lose(process)
        for name in self._worker_restarts.take_due(time.monotonic()):
            if not self._result.stopped_by:
                self._start_again(name)

    def judge(self, chief: Process) -> None:
        """Whether the chief, which has ended, or mpirun with every rank, has come to its end."""
        if self._result.stopped_by and self._have_saved(chief):
            self._result.has_finished = True
            self._result.has_ended_well = not any(self._codes(chief))
        elif chief.name == "mpirun":
            self._failures.notice(chief.name)  # its ranks are judged instead
            self._judge_mpirun(chief)
        elif self._failures.is_done(chief):
            self._result.has_finished = self._result.has_ended_well = True
        else:
            self._failures.lose(chief)

    def _start(self, task: PlannedTask) -> Process:
        self._worker_restarts.begin(task.name, time.monotonic())
        return self._launcher.task(self._plan, task)

    def _start_again(self, name: str) -> None:
        self._failures.forget(name)
        self._launcher.logs[name].record = None
        index = next(i for i, process in enumerate(self.processes) if process.name == name)
        self.processes[index] = self._start(self._plan.trainers[index])

    def _lose(self, process: Process) -> None:
        """A worker around parameter servers: the others take over what it leased."""
        self._failures.notice(process.name)
        if self._result.stopped_by or self._failures.is_done(process):
            return
        failure = self._failures.of(process)
        say(failure.report())
        again = failure.is_worth_a_restart and self._restarts.left > 0
        delay = self._worker_restarts.plan(process.name, process.when, time.monotonic()) if again else None
        if delay is not None:
            self._restarts.left -= 1
            say(f"{process.name} is started again in {delay:g} s; restarts left: {self._restarts.left}.")
        else:
            why = f": it has failed {TRIES} times, soon after its start" if again else ""
            say(f"The others go on without {process.name}{why}.")

    def _have_saved(self, chief: Process) -> bool:
        """Whether the chief, or every rank, has ended as asked: with 75, as it is worth a restart, or with 0."""
        return all(code in (0, PeerLostError.exit_code) for code in self._codes(chief))

    def _codes(self, chief: Process) -> list[int | None]:
        """The exit code that the chief, or every rank, has said; None where it has said nothing."""
        names = [task.name for task in self._plan.trainers] if chief.name == "mpirun" else [chief.name]
        records = [self._launcher.record(name) for name in names]
        return [None if record is None else record.code for record in records]

    def _judge_mpirun(self, process: Process) -> None:
        records = {task.name: self._launcher.record(task.name) for task in self._plan.trainers}
        lines = [line for name in (*records, "mpirun") for line in self._launcher.logs[name].lines]
        verdicts = failures_of_mpirun(process.code or 0, records, lines)
        self._result.has_finished = self._result.has_ended_well = not verdicts
        for verdict in verdicts if not self._result.stopped_by else ():
            self._failures.add(*verdict)
