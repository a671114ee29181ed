"""Start: one start of a plan's tasks, from the first ps to the end of the last process.

    ps start, and say where they listen
    chief and workers start (or mpirun), and the evaluator
    ... until the chief has ended, or something fails that the others cannot do without ...
    everything ends: by itself if all is well, else by a signal, and at last by SIGKILL

What the others cannot do without: the chief, every ps, and every rank of mpirun. A worker around parameter servers
may go; the evaluator harms nobody, and is waited for at the end, because it has the last checkpoint to evaluate.
Where ps write checkpoints and there are restarts left, a lost ps comes back while the workers wait: with the other
ps, which end too, so that all go on from the same place.
"""

from __future__ import annotations

import signal
import time

from distrib.errors import PeerLostError
from distrib.launch import ssh
from distrib.launch.backoff import TRIES, Comebacks
from distrib.launch.cause import Failure, failures_of_mpirun, root_cause, words_of_code
from distrib.launch.local import READY
from distrib.launch.plan import Plan, Task
from distrib.launch.process import Crew, Process, running
from distrib.launch.result import Result
from distrib.launch.say import say
from distrib.launch.settings import Settings
from distrib.launch.starter import Starter

PS_START_S = 60.0
_END_S = 2.0
"""For workers and parameter servers to end by themselves after the chief."""

_PS_END_S = 10.0
"""More, for a ps that writes its last checkpoint."""

_CULPRIT_S, _REMOTE_CULPRIT_S = 1.0, 5.0
"""After a failure that may be a consequence, for its cause to be noticed, here and on other hosts."""

_KILL_GRACE_S = 2.0


class Start:
    """One start of a plan.

    Args:
        crew: listens to the processes.
        plan: what to start.
        settings: how.
        run: name of the run and number of the start; what tasks' records belong to.
        restarts_left: how often lost workers, or the ps, may be started again alone.
    """

    def __init__(
        self, crew: Crew, plan: Plan, settings: Settings, run: tuple[str, int], restarts_left: int
    ) -> None:
        self._crew, self._plan, self._settings = crew, plan, settings
        self._starter = Starter(crew, settings, run)
        self.restarts_left = restarts_left
        self._result = Result()
        self._tasks = {task.name: task for task in plan.tasks}
        self._ps: list[Process] = []
        self._trainers: list[Process] = []
        self._evaluator: Process | None = None
        self._told: set[str] = set()
        self._comebacks = Comebacks()
        self._deadline = 0.0
        self._lost_ps: list[Failure] = []  # which come back

    def go(self) -> Result:
        """Start everything, and return when everything has ended."""
        begin = time.monotonic()
        try:
            if self._start_ps():
                self._start_trainers()
                self._crew.wait(self._is_over, float("inf"))
            self._end()
        finally:
            self._crew.end_all(0.0)
            for log in self._starter.logs.values():
                log.close()
        self._result.seconds = time.monotonic() - begin
        self._result.codes = self._starter.codes()
        return self._result

    # --- the beginning

    def _start_ps(self) -> bool:
        for task in self._plan.ps:
            self._ps.append(self._starter.task(self._plan, task))
        self._crew.wait(lambda: self._is_over() or all(map(self._address, self._plan.ps)), PS_START_S)
        late = [task for task in self._plan.ps if not self._address(task)]
        if self._result.failures or self._result.stopped_by:
            return False
        for task in late:
            self._fail(
                task.name, f"did not say within {PS_START_S:g} s where it listens", PeerLostError.exit_code
            )
        if self._plan.ps and not late:
            self._plan = self._plan.with_ps([self._address(task) for task in self._plan.ps])
        return not late

    def _address(self, task: Task) -> str:
        for line in self._starter.logs[task.name].lines:
            if line.startswith(READY):
                return line.removeprefix(READY).strip()
        return ""

    def _start_trainers(self) -> None:
        if self._plan.by_mpirun:
            self._trainers = [self._starter.mpirun(self._plan)]
        else:
            self._trainers = [self._start_task(task) for task in self._plan.trainers]
        if self._plan.evaluator is not None:
            self._evaluator = self._starter.task(self._plan, self._plan.evaluator)

    def _start_task(self, task: Task) -> Process:
        self._comebacks.begin(task.name)
        return self._starter.task(self._plan, task)

    # --- the midst

    def _is_over(self) -> bool:
        """Look at what has happened; whether the end begins."""
        self._heed_signals()
        for process in self._ps:
            if process.code is not None and process.name not in self._told and not self._is_done(process):
                self._lose_ps(process)
        if self._lost_ps and not self._result.failures:
            self._bring_ps_back()
        for process in self._trainers[1:]:
            if process.code is not None and process.name not in self._told:
                self._lose_worker(process)
        self._start_again()
        evaluator = self._evaluator
        if evaluator is not None and self._has_failed(evaluator):
            self._told.add(evaluator.name)
            say(self._failure(evaluator).told())
            say("Training goes on without the evaluator.")
        chief = self._trainers[0] if self._trainers else None
        return (
            bool(self._result.failures) or (chief is not None and chief.code is not None) or self._must_go()
        )

    def _is_done(self, process: Process) -> bool:
        """Whether a task has come to its end: a ps, because its chief, which may take a little longer, said so."""
        return process.code == 0 and self._starter.record(process.name) is not None

    def _has_failed(self, evaluator: Process) -> bool:
        """Whether the evaluator has failed by itself, and nobody was told."""
        return bool(evaluator.code) and not evaluator.was_told and evaluator.name not in self._told

    def _must_go(self) -> bool:
        if not self._result.stopped_by:
            return False
        return not self._trainers or time.monotonic() >= self._deadline

    def _heed_signals(self) -> None:
        while self._crew.signals:
            number = self._crew.signals.pop(0)
            listeners = [*self._trainers, *([self._evaluator] if self._evaluator is not None else [])]
            if number == signal.SIGUSR1:
                for process in listeners:
                    process.signal(signal.SIGUSR1)
                continue
            if self._result.stopped_by:
                self._crew.end_all(0.0)  # the second time is meant
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

    def _lose_ps(self, process: Process) -> None:
        """All end that cannot do without it; or it comes back, and the others too, which end because of it."""
        failure = self._failure(process)
        may_return = self._trainers and self.restarts_left and all(task.saves for task in self._plan.ps)
        if self._result.stopped_by or not may_return or not failure.is_worth_a_restart:
            self._lose(process)
            return
        self._told.add(process.name)
        self._lost_ps.append(failure)

    def _bring_ps_back(self) -> None:
        """When all have ended; and not for a chief that has failed, which ends them and is seen a little later."""
        since = time.monotonic() - self._lost_ps[0].when
        left = running(self._ps)
        for process in left if since > _PS_END_S else ():
            process.kill()
        if left or since < _CULPRIT_S:
            return
        self.restarts_left -= 1
        say(root_cause(self._lost_ps).told())
        say(f"All ps start again, while the workers wait; restarts left: {self.restarts_left}.")
        self._lost_ps.clear()
        self._told -= {process.name for process in self._ps}
        self._ps = [self._starter.task(self._plan, task.restored()) for task in self._plan.ps]

    def _lose_worker(self, process: Process) -> None:
        """A worker around parameter servers: the others take over what it leased."""
        self._told.add(process.name)
        if self._result.stopped_by or self._is_done(process):
            return
        failure = self._failure(process)
        say(failure.told())
        again = failure.is_worth_a_restart and self.restarts_left > 0
        delay = self._comebacks.plan(process.name, process.when) if again else None
        if delay is not None:
            self.restarts_left -= 1
            say(f"{process.name} is started again in {delay:g} s; restarts left: {self.restarts_left}.")
        else:
            why = f": it has failed {TRIES} times, soon after its start" if again else ""
            say(f"The others go on without {process.name}{why}.")

    def _start_again(self) -> None:
        """Start the workers that are due."""
        for name in self._comebacks.take_due():
            if not self._result.stopped_by:
                self._told.discard(name)
                self._starter.logs[name].record = None
                index = next(i for i, process in enumerate(self._trainers) if process.name == name)
                self._trainers[index] = self._start_task(self._tasks[name])

    # --- the end

    def _end(self) -> None:
        chief = self._trainers[0] if self._trainers else None
        if chief is not None and chief.code is not None:
            self._judge_chief(chief)
        if self._result.failures:
            self._result.failures += self._lost_ps
        else:
            self._let_end()
            return
        others = [*self._ps, *self._trainers]
        if all(each.is_worth_a_restart and not each.was_killed for each in self._result.failures):
            is_remote = any(process.host != "localhost" for process in others)
            patience = _REMOTE_CULPRIT_S if is_remote else _CULPRIT_S
            self._crew.wait(lambda: not running(others) or any(_is_lost(each) for each in others), patience)
        for process in others:
            if process.code and process.name not in self._told and not process.was_told:
                self._lose(process)
        self._crew.end_all(_KILL_GRACE_S)

    def _judge_chief(self, chief: Process) -> None:
        if self._result.stopped_by and self._have_saved(chief):
            self._result.has_finished = True
        elif chief.name == "mpirun":
            self._told.add(chief.name)  # its ranks are judged instead
            self._judge_mpirun(chief)
        elif self._is_done(chief):
            self._result.has_finished = True
        else:
            self._lose(chief)

    def _have_saved(self, chief: Process) -> bool:
        """Whether the chief, or every rank, has ended as asked: with 75, as it is worth a restart, or with 0."""
        names = [task.name for task in self._plan.trainers] if chief.name == "mpirun" else [chief.name]
        records = [self._starter.record(name) for name in names]
        return all(each is not None and each.code in (0, PeerLostError.exit_code) for each in records)

    def _judge_mpirun(self, process: Process) -> None:
        tasks = self._plan.trainers
        records = {task.name: self._starter.record(task.name) for task in tasks}
        lines = [line for name in (*records, "mpirun") for line in self._starter.logs[name].lines]
        verdicts = failures_of_mpirun(process.code or 0, records, lines)
        self._result.has_finished = not verdicts
        for verdict in verdicts if not self._result.stopped_by else ():
            self._fail(*verdict)

    def _let_end(self) -> None:
        """All is well, or everything was asked to end."""
        if self._result.stopped_by and not self._result.has_finished:
            self._crew.end_all(_KILL_GRACE_S)
            return
        self._crew.wait(lambda: not running(self._ps + self._trainers), _END_S)
        late = f"did not end within {_END_S:g} s of the chief, and is killed."
        for worker in running(self._trainers):  # such as one that came when all was done
            say(f"{worker.name} on {worker.host} {late}")
            worker.kill()
        self._crew.wait(lambda: not running(self._ps), _PS_END_S)
        for ps in running(self._ps):
            say(
                f"{ps.name} on {ps.host} did not end within {_END_S + _PS_END_S:g} s of the chief, and is killed."
            )
        if self._evaluator is not None:
            self._let_evaluator_end(self._evaluator)
        self._crew.end_all(0.0)

    def _let_evaluator_end(self, evaluator: Process) -> None:
        seconds = self._settings.evaluator_s

        def is_over() -> bool:
            self._heed_signals()  # after SIGTERM it has the grace, as all have
            is_due = bool(self._result.stopped_by) and time.monotonic() >= self._deadline
            return evaluator.code is not None or is_due

        if not self._crew.wait(is_over, seconds):
            say(f"The evaluator did not end within {seconds:g} s of the chief, and is killed.")
        elif self._has_failed(evaluator):
            say(self._failure(evaluator).told())

    # --- failures

    def _lose(self, process: Process) -> None:
        self._told.add(process.name)
        if self._result.stopped_by:
            return
        self._result.failures.append(self._failure(process))

    def _failure(self, process: Process) -> Failure:
        log = self._starter.logs[process.name]
        words, code, was_killed = words_of_code(process.code or 0, self._starter.record(process.name))
        if _is_lost(process):
            code = PeerLostError.exit_code if log.has_started else 69
            words = (
                "is lost with its host or the connection" if log.has_started else "cannot be reached by ssh"
            )
            was_killed = True
        return Failure(
            process.name, process.host, code, words, process.when, log.path, log.unseen, was_killed
        )

    def _fail(self, name: str, words: str, code: int, host: str = "", was_killed: bool = False) -> None:
        log, task = self._starter.logs[name], self._tasks.get(name)
        host = host or (task.host if task else "localhost")
        failure = Failure(name, host, code, words, time.monotonic(), log.path, log.unseen, was_killed)
        self._result.failures.append(failure)


def _is_lost(process: Process) -> bool:
    """Whether it is gone with its host: the cause of all else."""
    return process.code == ssh.FAILED and process.host != "localhost"
