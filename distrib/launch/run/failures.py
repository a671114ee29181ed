"""Failures: which tasks of a start have failed, each noticed once."""

from __future__ import annotations

import time

from distrib.base.errors import PeerLostError
from distrib.launch.backends import ssh
from distrib.launch.plan import Plan
from distrib.launch.run.process_group import Process
from distrib.launch.run.result import Result
from distrib.launch.run.root_cause import Failure, meaning_of_code
from distrib.launch.run.task_launcher import TaskLauncher


class Failures:
    """The failures of one attempt.

    Args:
        launcher: has the logs of the tasks, and their exit records.
        plan: what was started.
        result: takes the failures that end the start.
    """

    def __init__(self, launcher: TaskLauncher, plan: Plan, result: Result) -> None:
        self._launcher, self._result = launcher, result
        self._hosts = {task.name: task.host for task in plan.tasks}
        self._noticed: set[str] = set()

    def is_new(self, process: Process) -> bool:
        """Whether a task has ended, and that was not handled yet."""
        return process.code is not None and process.name not in self._noticed

    def notice(self, name: str) -> None:
        """The end of a task is known from now on."""
        self._noticed.add(name)

    def forget(self, name: str) -> None:
        """A task starts again, and may end again."""
        self._noticed.discard(name)

    def is_done(self, process: Process) -> bool:
        """Whether a task has come to its end: a ps, because its chief, which may take a little longer, said so."""
        return process.code == 0 and self._launcher.record(process.name) is not None

    def of(self, process: Process) -> Failure:
        """How a task has failed that has ended."""
        log = self._launcher.logs[process.name]
        message, code, was_killed = meaning_of_code(process.code or 0, self._launcher.record(process.name))
        if is_lost(process):
            code = PeerLostError.exit_code if log.has_started else 69
            message = (
                "is lost with its host or the connection" if log.has_started else "cannot be reached by ssh"
            )
            was_killed = True
        return Failure(
            process.name, process.host, code, message, process.when, log.path, log.unseen, was_killed
        )

    def lose(self, process: Process) -> None:
        """The start ends because a task has failed, unless it was asked to end anyway."""
        self.notice(process.name)
        if not self._result.stopped_by:
            self._result.failures.append(self.of(process))

    def add(self, name: str, message: str, code: int, host: str = "", was_killed: bool = False) -> None:
        """The start ends because of a task whose process says nothing of it.

        Args:
            name: of the task.
            message: what happened.
            code: for the launcher to end with.
            host: where; empty for the one of the plan.
            was_killed: whether a signal ended it, or it is gone with its host.
        """
        log, host = self._launcher.logs[name], host or self._hosts.get(name, "localhost")
        failure = Failure(name, host, code, message, time.monotonic(), log.path, log.unseen, was_killed)
        self._result.failures.append(failure)


def is_lost(process: Process) -> bool:
    """Whether it is gone with its host: the cause of all else."""
    return process.code == ssh.FAILED and process.host != "localhost"
