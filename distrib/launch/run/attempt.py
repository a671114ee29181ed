"""Attempt: one start of a plan's tasks, from the first ps to the end of the last process.

    ps start, and say where they listen
    chief and workers start (or mpirun), and the evaluator
    ... until the chief has ended, or something fails that the others cannot do without ...
    everything ends: by itself if all is well, else by a signal, and at last by SIGKILL

What the others cannot do without: the chief, every ps, and every rank of mpirun. A worker around parameter servers
may go (`launch/run/trainer_group.py`); the evaluator affects no other task, and is awaited at the end, because it has
the last checkpoint to evaluate. Where ps write checkpoints and there are restarts left, a lost ps comes back
(`launch/run/ps_group.py`).
"""

from __future__ import annotations

import signal
import time

from distrib.launch.plan import Plan
from distrib.launch.run.console import say
from distrib.launch.run.failures import Failures, is_lost
from distrib.launch.run.process_group import Process, ProcessGroup, running
from distrib.launch.run.ps_group import CULPRIT_S, PS_END_S, PsGroup
from distrib.launch.run.restarts import Restarts
from distrib.launch.run.result import Result
from distrib.launch.run.task_launcher import TaskLauncher
from distrib.launch.run.trainer_group import TrainerGroup
from distrib.launch.settings import Settings

_END_S = 2.0
"""For workers and parameter servers to end by themselves after the chief."""

_REMOTE_CULPRIT_S = 5.0
"""After a failure on another host that may be a consequence, for its cause to be noticed."""

_KILL_GRACE_S = 2.0


class Attempt:
    """One start of a plan.

    Args:
        group: listens to the processes.
        plan: what to start.
        settings: how.
        run: name of the run and number of the start; what tasks' records belong to.
        restarts_left: how often lost workers, or the ps, may be started again alone.
    """

    def __init__(
        self, group: ProcessGroup, plan: Plan, settings: Settings, run: tuple[str, int], restarts_left: int
    ) -> None:
        self._group, self._plan, self._settings = group, plan, settings
        self._launcher = TaskLauncher(group, settings, run)
        self._result = Result()
        self._restarts = Restarts(restarts_left)
        self._failures = Failures(self._launcher, plan, self._result)
        self._servers = PsGroup(self._launcher, plan, self._failures, self._result, self._restarts)
        self.trainers = TrainerGroup(self._launcher, self._failures, self._result, self._restarts)
        self._evaluator: Process | None = None
        self._deadline = 0.0

    @property
    def restarts_left(self) -> int:
        """How often what is lost may still be started again."""
        return self._restarts.left

    def go(self) -> Result:
        """Start everything, and return when everything has ended."""
        begin = time.monotonic()
        try:
            self._plan = self._servers.start(self._group, self.is_over)
            if not self._result.failures and not self._result.stopped_by:
                self.trainers.start(self._plan)
                if self._plan.evaluator is not None:
                    self._evaluator = self._launcher.task(self._plan, self._plan.evaluator)
                self._group.wait(self.is_over, float("inf"))
            self._end()
        finally:
            self._group.end_all(0.0)
            for log in self._launcher.logs.values():
                log.close()
        self._result.seconds = time.monotonic() - begin
        self._result.codes = self._launcher.codes()
        return self._result

    # --- the midst

    def is_over(self) -> bool:
        """Look at what has happened; whether the end begins."""
        self._heed_signals()
        self._servers.look(trains=bool(self.trainers.processes))
        self.trainers.look()
        evaluator = self._evaluator
        if evaluator is not None and self._has_failed(evaluator):
            self._failures.notice(evaluator.name)
            say(self._failures.of(evaluator).report())
            say("Training goes on without the evaluator.")
        chief = self.trainers.chief
        has_ended = chief is not None and chief.code is not None
        return bool(self._result.failures) or has_ended or self._must_go()

    def _has_failed(self, evaluator: Process) -> bool:
        """Whether the evaluator has failed by itself, and that was not reported yet."""
        return bool(evaluator.code) and not evaluator.was_told and self._failures.is_new(evaluator)

    def _must_go(self) -> bool:
        if not self._result.stopped_by:
            return False
        return not self.trainers.processes or time.monotonic() >= self._deadline

    def _heed_signals(self) -> None:
        while self._group.signals:
            number = self._group.signals.pop(0)
            evaluators = [self._evaluator] if self._evaluator is not None else []
            listeners = [*self.trainers.processes, *evaluators]
            if number == signal.SIGUSR1:
                for process in listeners:
                    process.signal(signal.SIGUSR1)
                continue
            if self._result.stopped_by:
                self._group.end_all(0.0)  # the second time is meant
                continue
            self._result.stopped_by = number
            grace = self._settings.grace_s
            say(f"{signal.Signals(number).name}: all tasks have {grace:g} s to save and to end.")
            for process in listeners:
                process.signal(self._stop_signal(process))
            self._deadline = time.monotonic() + grace

    def _stop_signal(self, process: Process) -> int:
        mpi = self._settings.mpi
        return mpi.stop_signal if process.name == "mpirun" and mpi is not None else signal.SIGTERM

    # --- the end

    def _end(self) -> None:
        chief = self.trainers.chief
        if chief is not None and chief.code is not None:
            self.trainers.judge(chief)
        if self._result.failures:
            self._result.failures += self._servers.lost
        else:
            self._let_end()
            return
        others = [*self._servers.processes, *self.trainers.processes]
        if all(each.is_worth_a_restart and not each.was_killed for each in self._result.failures):
            is_remote = any(process.host != "localhost" for process in others)
            patience = _REMOTE_CULPRIT_S if is_remote else CULPRIT_S
            self._group.wait(lambda: not running(others) or any(is_lost(each) for each in others), patience)
        for process in others:
            if process.code and self._failures.is_new(process) and not process.was_told:
                self._failures.lose(process)
        self._group.end_all(_KILL_GRACE_S)

    def _let_end(self) -> None:
        """All is well, or everything was asked to end."""
        if self._result.stopped_by and not self._result.has_finished:
            self._group.end_all(_KILL_GRACE_S)
            return
        servers, trainers = self._servers.processes, self.trainers.processes
        self._group.wait(lambda: not running(servers + trainers), _END_S)
        for worker in running(trainers):  # such as one that was starting when all was done
            say(
                f"{worker.name} on {worker.host} still runs {_END_S:g} s after the chief has ended, and is stopped: "
                "the training is over. If it was starting, it came too late to take part."
            )
            worker.kill()
        self._group.wait(lambda: not running(servers), PS_END_S)
        for ps in running(servers):
            say(
                f"{ps.name} on {ps.host} did not end within {_END_S + PS_END_S:g} s of the chief, and is killed."
            )
        if self._evaluator is not None:
            self._let_evaluator_end(self._evaluator)
        self._group.end_all(0.0)

    def _let_evaluator_end(self, evaluator: Process) -> None:
        seconds = self._settings.evaluator_s

        def is_over() -> bool:
            self._heed_signals()  # after SIGTERM it has the grace, as all have
            is_due = bool(self._result.stopped_by) and time.monotonic() >= self._deadline
            return evaluator.code is not None or is_due

        if not self._group.wait(is_over, seconds):
            say(f"The evaluator did not end within {seconds:g} s of the chief, and is killed.")
        elif self._has_failed(evaluator):
            say(self._failures.of(evaluator).report())
