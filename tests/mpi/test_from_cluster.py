"""The strategy that fits the cluster, under real launchers; and launchers that do not fit the MPI of this Python."""

import json

import pytest
from helpers.mpi import ENVIRONMENTS, mpirun, run

CLUSTER = {"chief": ["localhost:0"], "worker": ["localhost:0"]}


def test_the_ranks_are_the_chief_and_the_workers(mpi_name):
    config = json.dumps({"cluster": CLUSTER})
    ended = mpirun(mpi_name, 2, "from_cluster.py", TF_CONFIG=config)
    assert ended.code == 0, ended.output
    assert "chief:0 of 2: <MirroredStrategy replica 0 of 2> 2" in ended.output
    assert "worker:0 of 2: <MirroredStrategy replica 1 of 2> 2" in ended.output


@pytest.mark.parametrize("strategy", ["mirrored", "central_storage"])
def test_without_a_cluster_the_ranks_are_workers(mpi_name, strategy):
    ended = mpirun(mpi_name, 2, "from_cluster.py", DISTRIB_STRATEGY=strategy)
    assert ended.code == 0, ended.output
    name = {"mirrored": "MirroredStrategy", "central_storage": "CentralStorageStrategy"}[strategy]
    for rank in range(2):
        assert f"worker:{rank} of 2: <{name} replica {rank} of 2> 2" in ended.output


def test_one_rank_is_alone(mpi_name):
    ended = mpirun(mpi_name, 1, "from_cluster.py")
    assert ended.code == 0, ended.output
    assert "worker:0 of 1: <MirroredStrategy replica 0 of 1> 1" in ended.output


def test_other_ranks_than_the_cluster_has_workers(mpi_name):
    config = json.dumps({"cluster": {"worker": ["localhost:0"] * 3}})
    ended = mpirun(mpi_name, 2, "from_cluster.py", TF_CONFIG=config)
    assert ended.code != 0
    assert "TF_CONFIG: cluster: expected a chief or worker for each of 2 ranks" in ended.output
    assert "Strategy replica" not in ended.output


def test_d5_ranks_that_were_told_different_clusters():
    other = {"chief": ["localhost:0"], "worker": ["elsewhere:0"]}
    configs = {
        "TF_CONFIG": json.dumps({"cluster": CLUSTER}),
        "TF_CONFIG_OF_RANK_1": json.dumps({"cluster": other}),
    }
    ended = mpirun("openmpi", 2, "from_cluster.py", **configs)
    assert ended.code == 76, ended.output
    assert "FAULT FIRED" in ended.output
    shown = "cluster.worker[0]: rank 0: 'localhost:0', rank 1: 'elsewhere:0'"
    assert ended.output.count(shown) >= 1
    assert "Strategy replica" not in ended.output


def test_the_mpirun_of_another_mpi_starts_no_silent_singles(mpi_name, both_mpis):
    other = {"openmpi": "mpich", "mpich": "openmpi"}[mpi_name]
    command = [ENVIRONMENTS[mpi_name] / "bin" / "mpirun", "-n", "2", ENVIRONMENTS[other] / "bin" / "python"]
    ended = run([str(word) for word in command], "from_cluster.py", PYTHONWARNINGS="default")
    assert ended.code != 0
    assert "Strategy replica" not in ended.output
    if other == "openmpi":  # MPICH's library refuses Open MPI's launcher by itself
        assert "MPICH Hydra started 2 processes, but MPI sees 1" in ended.output
        assert "--mpi=pmix for Open MPI, --mpi=pmi2 for MPICH" in ended.output
