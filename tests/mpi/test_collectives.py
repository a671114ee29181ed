"""The implementations of the collectives under both MPIs, and how one of them is chosen."""

import re

import pytest
from helpers.contract import contract
from helpers.mpi import mpirun, on_ranks

WAYS = ["ring", "shared_memory", "mpi"]


@pytest.mark.parametrize(("ranks", "used"), [(1, "SingleCommunicator"), (2, "SharedMemoryCommunicator")])
def test_auto_adds_exactly(mpi_name, ranks, used):
    ended = mpirun(mpi_name, ranks, "collectives.py", "auto")
    assert ended.code == 0, ended.output
    assert re.findall(r"ENDED WELL (\w+?Communicator)", ended.output) == [used] * ranks


def test_without_shared_memory_auto_takes_the_ring_and_says_why():
    ended = mpirun("openmpi", 2, "choice.py", 100, 8)
    assert ended.code == 0, ended.output
    assert ended.output.count("2 ranks on 1 host(s): implementation ring") == 1
    assert ended.output.count("ENDED WELL RingCommunicator True") == 2
    assert "use a ring of messages, which is slower" in ended.output
    assert "cannot be shared on this host: rank 0" in ended.output


def test_too_little_shared_memory_for_a_model_is_seen_before_it_is_used():
    ended = mpirun("openmpi", 2, "choice.py", 1_000_000, 1_000_000)
    assert ended.code == 0, ended.output
    assert ended.output.count("ENDED WELL SharedMemoryCommunicator True") == 2
    assert "16000016 bytes cannot be shared on this host" in ended.output
    assert "Raise the limit on the size of files (ulimit -f)" in ended.output


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_central_storage_is_one_copy(mpi_name, ranks):
    ended = mpirun(mpi_name, ranks, "central.py")
    assert ended.code == 0, ended.output
    assert ended.output.count("ENDED WELL") == ranks


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_n_processes_add_exactly_and_train_what_one_process_trains(mpi_name, ranks):
    """Over threads there are many more cases; here it is all that needs MPI, or several processes."""
    contract(on_ranks(mpi_name, ranks), ranks, "float64", *WAYS, "central")


def test_b12_replicas_whose_blas_differs_stay_equal_to_the_bit(mpi_name, tmp_path):
    kernels = ["Haswell", "Prescott", "Sandybridge"]
    *launch, python = on_ranks(mpi_name, len(kernels))
    rank = tmp_path / "rank.sh"
    rank.write_text(
        f"#!/bin/bash\nkernels=({' '.join(kernels)}); rank=${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}}\n"
        "export OPENBLAS_CORETYPE=${kernels[rank]} OPENBLAS_NUM_THREADS=$((1 + rank % 2))\n"
        f'exec {python} "$@"\n'
    )
    rank.chmod(0o755)
    alone = contract([*launch, rank], len(kernels), "float32", *WAYS, "central")
    assert len(set(alone)) == len(kernels), "their BLAS does not differ"


@pytest.mark.parametrize(
    ("ranks", "words"),
    [
        (2, "The values of rank 0 and those of rank 1 differ at step 12, and no majority"),
        (3, "The values of rank 0 differ from those of the other 2 at step 12"),
    ],
)
def test_b11_a_replica_that_drifts_ends_the_job(mpi_name, ranks, words):
    ended = mpirun(mpi_name, ranks, "train.py", "drift", 0, 12)
    assert "FAULT FIRED" in ended.output
    assert words in ended.output
    assert "ENDED WELL" not in ended.output
    assert ended.code == 76 if mpi_name == "openmpi" else ended.code != 0
    assert not ended.survivors


MANY = """
import distrib
options = distrib.CommunicationOptions(implementation="mpi")
for _ in range(2500):
    strategy = distrib.MirroredStrategy(communication_options=options)
assert strategy.reduce("sum", 1.0) == 2
print("MADE")
"""


def test_many_strategies_take_no_communicator_of_mpi_each(tmp_path, mpi_name):
    (tmp_path / "script.py").write_text(MANY)
    ended = mpirun(mpi_name, 2, tmp_path / "script.py")
    assert ended.code == 0, ended.output
    assert ended.output.count("MADE") == 2
