"""When a plan is started again, how long that waits, and when it is given up: decisions, without processes."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from distrib.launch.run import restart_loop as module
from distrib.launch.run.process_group import ProcessGroup
from distrib.launch.run.result import Result
from distrib.launch.run.root_cause import Failure


def lost(task="worker 1", killed=False, code=75):
    return Failure(task, "h1", code, "is lost", 0.0, Path("logs/x.log"), (), killed)


@pytest.fixture
def plan_ends(monkeypatch, tmp_path):
    """Run a plan whose starts end like this; returns the exit code, the delays, and what was told at the end."""

    def ends(results, max_restarts):
        delays, starts = [], iter(results)

        class Start:
            def __init__(self, group, plan, settings, run, restarts_left):
                self.restarts_left = restarts_left

            def go(self):
                failure, seconds = next(starts)
                return Result([failure] if failure else [], seconds=seconds)

        def wait(self, condition, seconds):
            delays.append(seconds)
            return False

        monkeypatch.setattr(module, "Attempt", Start)
        monkeypatch.setattr(ProcessGroup, "wait", wait)
        monkeypatch.setattr(ProcessGroup, "__exit__", lambda *_: None)  # there are no processes
        code = module.run(None, SimpleNamespace(log_dir=tmp_path), "r", max_restarts)
        return code, delays, json.loads((tmp_path / "result.json").read_text())

    return ends


def test_d9_what_fails_at_once_waits_longer_each_time_and_is_given_up(plan_ends, capfd):
    code, delays, outcome = plan_ends([(lost(), 0.5)] * 9, max_restarts=8)
    assert (code, delays) == (75, [1.0, 2.0, 4.0])
    assert outcome["starts"] == 4
    assert "start 3: worker 1 on h1 is lost." in "".join(capfd.readouterr())


def test_d8_when_the_restarts_are_used_up_all_causes_are_told(plan_ends, capfd):
    causes = [lost("worker 0"), lost("ps 1"), lost("worker 2")]
    code, delays, outcome = plan_ends([(each, 60.0) for each in causes], max_restarts=2)
    assert (code, delays) == (75, [0.0, 0.0])
    assert outcome["causes"] == ["worker 0 on h1 is lost", "ps 1 on h1 is lost", "worker 2 on h1 is lost"]
    told = "".join(capfd.readouterr()).splitlines()
    assert "worker 2 on h1 is lost" in told[-1]


def test_a14_what_is_killed_three_times_in_a_row_is_given_up(plan_ends, capfd):
    code, _, outcome = plan_ends([(lost(killed=True), 60.0)] * 9, max_restarts=8)
    assert (code, outcome["starts"]) == (69, 3)
    assert "does its host have enough memory?" in "".join(capfd.readouterr())


def test_a_start_that_goes_well_is_the_end(plan_ends):
    code, delays, outcome = plan_ends([(lost(), 60.0), (None, 60.0)], max_restarts=8)
    assert (code, delays, outcome["starts"]) == (0, [0.0], 2)


def test_a_bug_is_not_worth_another_start(plan_ends):
    code, delays, _ = plan_ends([(lost(code=70), 60.0)] * 2, max_restarts=8)
    assert (code, delays) == (70, [])


@pytest.fixture
def workers(monkeypatch):
    """`workers(lives, restarts)`: a worker around a ps whose starts live that long, one after the other.

    Returns the seconds from each end to the next start, and what was told.
    """
    from distrib.cluster.config import config_from_text
    from distrib.launch.plan import plan
    from distrib.launch.run import attempt as module
    from distrib.launch.run import trainer_group

    cluster = {"chief": ["localhost:0"], "worker": ["localhost:0"], "ps": ["127.0.0.1:0"]}
    made = plan(config_from_text(json.dumps({"cluster": cluster})), ["x.py"], "python", lambda _: True, False)

    class Log:
        path, unseen, record, has_started = Path("logs/worker-0.log"), (), None, True

    class Starter:
        """Its processes end when the clock says so."""

        def __init__(self, clock, lives):
            self.logs, self._clock, self._lives = dict.fromkeys(["worker 0", "chief 0"], Log()), clock, lives
            self.starts, self.ends = [], []

        def record(self, name):
            return None

        def task(self, plan, task):
            process = SimpleNamespace(name=task.name, host="localhost", code=None, when=0.0, was_told=False)
            if task.job == "worker":
                self.starts.append(self._clock())
                self.ends.append(self._clock() + self._lives.pop(0))
            return process

    def run(lives, restarts):
        now = [1000.0]
        told = []
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(trainer_group, "say", told.append)
        launcher = Starter(lambda: now[0], list(lives))
        monkeypatch.setattr(module, "TaskLauncher", lambda *arguments: launcher)
        start = module.Attempt(SimpleNamespace(signals=[]), made, None, ("r", 1), restarts)
        start.trainers.start(made)
        for _ in range(600):
            now[0] += 0.1
            worker = start.trainers.processes[1]
            if worker.code is None and now[0] >= launcher.ends[-1]:
                worker.code, worker.when = 137, launcher.ends[-1]
            assert not start.is_over(), "the chief goes on"
        delays = [begin - end for begin, end in zip(launcher.starts[1:], launcher.ends, strict=False)]
        return [round(delay) for delay in delays], told, start

    return run


def test_d9_a_worker_that_dies_at_every_start_waits_longer_each_time_and_is_given_up(workers):
    delays, told, start = workers([0.5] * 9, 100)
    assert delays == [1, 2, 4]
    assert sum(delays) + 4 * 0.5 < 15
    assert told[-1] == "The others go on without worker 0: it has failed 4 times, soon after its start."
    assert start.restarts_left == 97


def test_a_worker_that_has_worked_a_while_is_started_again_at_once(workers):
    delays, told, _ = workers([0.5, 0.5, 6.0, 0.5, 6.0, 99.0], 100)
    assert delays == [1, 2, 0, 1, 0]
    assert "goes on" not in told[-1]


def test_restarts_that_are_used_up_are_the_end_of_a_worker(workers):
    delays, told, start = workers([6.0] * 9, 2)
    assert (delays, start.restarts_left) == ([0, 0], 0)
    assert told[-1] == "The others go on without worker 0."


def test_d8_the_last_cause_is_the_exit_code_and_all_are_told(plan_ends, capfd):
    """A run that began with lost peers and ended with a bug is not worth a restart."""
    causes = [lost("worker 0"), lost("ps 1"), lost("worker 2", code=70)]
    code, _, outcome = plan_ends([(each, 60.0) for each in causes], max_restarts=5)
    assert (code, outcome["code"], outcome["starts"]) == (70, 70, 3)
    told = "".join(capfd.readouterr())
    assert [f"{each.task} on h1 is lost" in told for each in causes] == [True] * 3
    assert "worker 2 on h1 is lost" in told.splitlines()[-1]
