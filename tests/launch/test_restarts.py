"""When a plan is started again, how long that waits, and when it is given up: decisions, without processes."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from distrib.launch import run as module
from distrib.launch.cause import Failure
from distrib.launch.process import Crew
from distrib.launch.start import Result


def lost(task="worker 1", killed=False, code=75):
    return Failure(task, "h1", code, "is lost", 0.0, Path("logs/x.log"), (), killed)


@pytest.fixture
def plan_ends(monkeypatch, tmp_path):
    """Run a plan whose starts end like this; returns the exit code, the delays, and what was told at the end."""

    def ends(results, max_restarts):
        delays, starts = [], iter(results)

        class Start:
            def __init__(self, crew, plan, settings, run, restarts_left):
                self.restarts_left = restarts_left

            def go(self):
                failure, seconds = next(starts)
                return Result([failure] if failure else [], seconds=seconds)

        def wait(self, condition, seconds):
            delays.append(seconds)
            return False

        monkeypatch.setattr(module, "Start", Start)
        monkeypatch.setattr(Crew, "wait", wait)
        monkeypatch.setattr(Crew, "__exit__", lambda *_: None)  # there are no processes
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
