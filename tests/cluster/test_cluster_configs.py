"""The files of `cluster_configs/` are right, and its README tells of each what it is."""

import re

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
