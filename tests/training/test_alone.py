"""Processes that were started as several and would each train everything are stopped."""

import json

import numpy as np
import pytest
from helpers import mpi

import distrib
from distrib.cluster.launcher_env import started_as_one_of_several

OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}
HYDRA = {"PMI_RANK": "0", "PMI_SIZE": "3"}
SLURM = {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2"}
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2"}
CLUSTER = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}


def train(strategy=None):
    with (strategy or distrib.DefaultStrategy()).scope():
        model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (OPEN_MPI, "Open MPI mpirun started 2 processes, of which this is number 1"),
        (HYDRA, "MPICH Hydra started 3 processes, of which this is number 0"),
        (SLURM, "srun started 2 processes, of which this is number 1"),
        (TORCHRUN, "torchrun started 2 processes, of which this is number 1"),
        ({"TF_CONFIG": json.dumps(CLUSTER)}, "the cluster has 2 workers, of which this is worker:1"),
    ],
)
def test_a_forgotten_scope_is_an_error(monkeypatch, environ, words):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(distrib.ConfigError, match=words) as caught:
        train()
    assert "with strategy.scope()" in str(caught.value)
    model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    with pytest.raises(distrib.ConfigError, match=words):
        model.train_on_batch(np.ones((4, 2)), np.ones((4, 1)))
    model.predict(np.ones((4, 2)), verbose=0)
    monkeypatch.setenv("DISTRIB_ALLOW_ALONE", "1")
    train()


def test_srun_without_pmi_is_told_how_to_start(monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(distrib.ConfigError, match="srun --mpi=pmix") as caught:
        train(distrib.MirroredStrategy())
    assert "MirroredStrategy, one replica" in str(caught.value)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "2"},  # the batch step of sbatch runs one process
        {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"},
        {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"} | SLURM,
        {"TF_CONFIG": json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}})},
        {"RANK": "0"},
    ],
)
def test_one_process_trains(monkeypatch, environ):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert started_as_one_of_several() is None
    train()


def test_a_number_that_is_none_is_named():
    with pytest.raises(distrib.ConfigError, match="SLURM_STEP_NUM_TASKS"):
        started_as_one_of_several({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "two"})


PROGRAM = """
import numpy as np, distrib
strategy = distrib.MirroredStrategy()
model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(2,))])
model.compile("sgd", "mse")
model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
print("trained alone")
"""


def test_a_forgotten_scope_under_mpirun(mpi_name, tmp_path):
    program = tmp_path / "train.py"
    program.write_text(PROGRAM)
    run = mpi.mpirun(mpi_name, 2, program)
    assert run.code != 0
    assert "trained alone" not in run.output
    assert "Train in `with strategy.scope():`" in run.output
