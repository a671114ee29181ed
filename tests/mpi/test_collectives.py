"""The implementations of the collectives under both MPIs, and how one of them is chosen."""

import itertools
import json

import pytest
from helpers.mpi import mpirun

CLASSES = {
    "auto": "SharedMemoryCommunicator",
    "ring": "RingCommunicator",
    "shared_memory": "SharedMemoryCommunicator",
    "mpi": "NativeCommunicator",
}


@pytest.mark.parametrize(
    ("implementation", "ranks"),
    [("auto", 1), ("auto", 2), *itertools.product(["ring", "shared_memory", "mpi"], [2, 3, 4])],
)
def test_every_implementation_adds_exactly(mpi_name, ranks, implementation):
    ended = mpirun(mpi_name, ranks, "collectives.py", implementation)
    assert ended.code == 0, ended.output
    name = CLASSES[implementation] if ranks > 1 else "SingleCommunicator"
    assert ended.output.count(f"ENDED WELL {name}") == ranks


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


def losses(mpi_name, ranks, implementation):
    ended = mpirun(mpi_name, ranks, "losses.py", implementation)
    assert ended.code == 0, ended.output
    line = next(line for line in ended.output.splitlines() if "LOSSES" in line)
    return json.loads(line[line.index("{") :])


def test_mpi_s_own_collectives_train_what_one_process_trains(mpi_name):
    """The others are compared over threads; these need MPI."""
    alone = losses(mpi_name, 1, "auto")["losses"]
    for ranks in (2, 3, 4):
        result = losses(mpi_name, ranks, "mpi")
        assert result["same"]
        assert result["losses"] == pytest.approx(alone, rel=1e-9)


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
