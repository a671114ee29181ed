"""The files of `cluster_configs/` are right, and its README tells of each what it is."""

import json
import os
import re
import subprocess
import sys

import pytest
from helpers.mpi import ROOT

from distrib.cluster.config import config_from_text, read_config
from distrib.cluster.resolve import resolve

FOLDER = ROOT / "cluster_configs"
FILES = sorted(FOLDER.glob("*.toml"))
README = (FOLDER / "README.md").read_text()
WORDS = {
    "Mirrored": "mirrored",
    "CentralStorage": "central_storage",
    "ParameterServer, sync": "ps-sync",
    "ParameterServer, async": "ps-async",
}


def rows():
    for name, where, strategy, tasks in re.findall(
        r"^\| `(\S+)` \| (.+) \| (.+) \| (.+) \|$", README, re.MULTILINE
    ):
        numbers = {}
        for part in tasks.split(", "):
            *number, job = part.split()
            numbers["worker" if job == "workers" else job] = int(number[0]) if number else 1
        yield name, where, WORDS[strategy], numbers


def test_the_readme_names_every_file():
    assert sorted(name for name, *_ in rows()) == [file.name for file in FILES]


@pytest.mark.parametrize(("name", "where", "strategy", "tasks"), list(rows()), ids=str)
def test_a_file_is_what_the_readme_says(name, where, strategy, tasks):
    config = read_config(FOLDER / name)
    assert config.launch.strategy == strategy
    assert {job: config.cluster.num_tasks(job) for job in config.cluster.jobs} == tasks
    hosts = {
        address.split(":")[0] for job in config.cluster.jobs for address in config.cluster.job_tasks(job)
    }
    assert hosts == {"localhost"} if where == "this machine" else len(hosts) == int(where.split()[0])


def test_the_schema_of_the_readme_is_right():
    (schema,) = re.findall(r"^```text\n(\[cluster\].*?)^```$", README, re.MULTILINE | re.DOTALL)
    launch = config_from_text(schema, "toml").launch
    assert launch.strategy == "ps-sync"
    assert all(vars(launch).values()), "an option is not in the README"


@pytest.mark.parametrize("job", ["chief", "worker", "ps", "evaluator"])
def test_the_samples_of_tf_config(job):
    text = (FOLDER / "tf_config" / f"{job}-0.json").read_text()
    task = resolve(environ={"TF_CONFIG": text})
    assert str(task) == f"{job}:0"
    assert (task.num_workers, task.ps) == (2, ("localhost:2224",))


def test_the_samples_train_as_the_readme_says(tmp_path):
    python, file = [sys.executable], tmp_path / "result.json"
    example = [*python, ROOT / "examples" / "train_images.py", "--epochs", "2", "--json", file]
    listen = [*python, "-m", "distrib", "ps", "--address", "localhost:0"]
    ps = subprocess.Popen(listen, stdout=subprocess.PIPE, text=True)
    processes = [ps]
    try:
        address = ps.stdout.readline().split()[-1]
        for job in ("worker", "chief"):
            text = (FOLDER / "tf_config" / f"{job}-0.json").read_text().replace("localhost:2224", address)
            environ = {**os.environ, "TF_CONFIG": text}
            processes.append(subprocess.Popen(example, env=environ, stdout=subprocess.DEVNULL))
        assert [process.wait(40) for process in processes] == [0, 0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
        ps.stdout.close()
    result = json.loads(file.read_text())
    assert result["num_replicas"] == 2
    assert result["applied"] == result["pushed"] > 0
