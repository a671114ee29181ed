"""PsGroup: the parameter servers of one attempt. Those that save come back together when one is lost.

All of them start again then, so that all go on from the same place, and the workers wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from distrib.base.errors import PeerLostError
from distrib.launch.local_cluster import READY
from distrib.launch.plan import Plan, PlannedTask
from distrib.launch.run.console import say
from distrib.launch.run.failures import Failures
from distrib.launch.run.process_group import Process, ProcessGroup, running
from distrib.launch.run.restarts import Restarts
from distrib.launch.run.result import Result
from distrib.launch.run.root_cause import Failure, root_cause
from distrib.launch.run.task_launcher import TaskLauncher

PS_START_S = 60.0
PS_END_S = 10.0
"""For a ps that writes its last checkpoint."""

_OTHERS_END_S = 3.0
"""For the other ps to end because one is lost. Before the chief comes they do not know each other, and do not end."""

CULPRIT_S = 1.0
"""After a failure that may be a consequence, for its cause to be noticed."""


class PsGroup:
    """The ps of one start.

    Args:
        launcher: starts them.
        plan: what to start.
        failures: those of the start.
        result: of the start.
        restarts: how often they may come back.

    Attributes:
        processes: one for each.
        lost: those that failed and come back.
    """

    def __init__(
        self, launcher: TaskLauncher, plan: Plan, failures: Failures, result: Result, restarts: Restarts
    ) -> None:
        self._launcher, self._plan = launcher, plan
        self._failures, self._result, self._restarts = failures, result, restarts
        self.processes: list[Process] = []
        self.lost: list[Failure] = []

    def start(self, group: ProcessGroup, is_over: Callable[[], bool]) -> Plan:
        """Start them, and wait until they listen, or it is over; one that does not listen in time has failed.

        Returns:
            The plan, with where they listen if all do.
        """
        for task in self._plan.ps:
            self.processes.append(self._launcher.task(self._plan, task))
        group.wait(lambda: is_over() or all(map(self._address, self._plan.ps)), PS_START_S)
        if self._result.failures or self._result.stopped_by:
            return self._plan
        late = [task for task in self._plan.ps if not self._address(task)]
        for task in late:
            message = f"did not say within {PS_START_S:g} s where it listens"
            self._failures.add(task.name, message, PeerLostError.exit_code)
        if self._plan.ps and not late:
            self._plan = self._plan.with_ps([self._address(task) for task in self._plan.ps])
        return self._plan

    def look(self, trains: bool) -> None:
        """Look at what has happened to them.

        Args:
            trains: whether the workers have started, so that they would wait for a ps to come back.
        """
        for process in self.processes:
            if self._failures.is_new(process) and not self._failures.is_done(process):
                self._lose(process, trains)
        if self.lost and not self._result.failures:
            self._bring_back()

    def _address(self, task: PlannedTask) -> str:
        for line in self._launcher.logs[task.name].lines:
            if line.startswith(READY):
                return line.removeprefix(READY).strip()
        return ""

    def _lose(self, process: Process, trains: bool) -> None:
        """All end that cannot do without it; or it comes back, and the others too, which end because of it."""
        failure = self._failures.of(process)
        may_return = trains and self._restarts.left and all(task.saves for task in self._plan.ps)
        if self._result.stopped_by or not may_return or not failure.is_worth_a_restart:
            self._failures.lose(process)
            return
        self._failures.notice(process.name)
        self.lost.append(failure)

    def _bring_back(self) -> None:
        """When all have ended; and not for a chief that has failed, which ends them and is seen a little later."""
        since = time.monotonic() - self.lost[0].when
        left = running(self.processes)
        for process in left if since > _OTHERS_END_S else ():
            process.kill()
        if left or since < CULPRIT_S:
            return
        self._restarts.left -= 1
        say(root_cause(self.lost).report())
        say(f"All ps start again, while the workers wait; restarts left: {self._restarts.left}.")
        self.lost.clear()
        for process in self.processes:
            self._failures.forget(process.name)
        self.processes = [self._launcher.task(self._plan, task.restored()) for task in self._plan.ps]
