"""Clusters whose workers' numbers have gaps, as after some were taken away: they train like those without."""

import re

import pytest
from helpers.launch import PROGRAM, Launch

pytestmark = pytest.mark.timeout(60)

WORKERS = '[cluster.worker]\n1 = "localhost:0"\n3 = "localhost:0"\n'
CLUSTERS = {"mirrored": WORKERS, "ps-sync": f'[cluster]\nps = ["127.0.0.1:0"]\n{WORKERS}'}


@pytest.mark.parametrize("strategy", list(CLUSTERS))
def test_workers_with_gaps_train_and_the_lowest_is_chief(tmp_path, strategy):
    file = tmp_path / "cluster.toml"
    file.write_text(f'{CLUSTERS[strategy]}[launch]\nstrategy = "{strategy}"\n')
    launch = Launch("--tee", "--log-dir", tmp_path / "logs", file, PROGRAM, 3, "none", 0)
    ended = launch.ended()
    assert ended.code == 0, ended.output
    assert not ended.survivors
    assert re.search("^I am worker 1", ended.output, re.MULTILINE), "the chief's output is shown as it is"
    assert ended.output.count("\nloss ") == 1
    assert {path.name for path in (tmp_path / "logs").glob("worker-*")} == {"worker-1.log", "worker-3.log"}
    logs = [(tmp_path / "logs" / f"worker-{index}.log").read_text() for index in (1, 3)]
    assert ["loss " in log for log in logs] == [True, False], "one is chief"
    assert all("TRAINING" in log and "ENDED WELL" in log for log in logs), "both have trained"
