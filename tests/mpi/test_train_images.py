"""The main job on real images: `mpirun -n N python examples/train_images.py`, judged by its --json file."""

import json
import sys
from functools import cache

import pytest
from helpers.mpi import ROOT, on_ranks, run

EXAMPLE = ROOT / "examples" / "train_images.py"
pytestmark = [pytest.mark.mpi, pytest.mark.usefixtures("fashion_mnist"), pytest.mark.timeout(180)]

EPOCHS = {"float32": 5, "float64": 2}


def train(launch, ranks, file, dtype, **variables):
    epochs = EPOCHS[dtype]
    arguments = ["--dataset", "fashion-mnist", "--epochs", epochs, "--json", file, "--dtype", dtype]
    ended = run(launch, EXAMPLE, *arguments, deadline_s=120.0, **variables)
    assert ended.code == 0, ended.output
    result = json.loads(file.read_text())
    assert result["num_replicas"] == ranks
    assert len(result["weights_sha256"]) == ranks
    assert len(set(result["weights_sha256"])) == 1
    assert len(result["samples_per_second"]) == len(result["train_loss"]) == result["epochs"] == epochs
    return result


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """`alone(dtype)`: what one process trains, which no launcher has started; once for all tests.

    On one core: a machine with more to do takes long to come back to threads that wait for each other.
    """
    folder, one_core = tmp_path_factory.mktemp("alone"), {"OPENBLAS_NUM_THREADS": "1"}
    return cache(lambda dtype: train([sys.executable], 1, folder / f"{dtype}.json", dtype, **one_core))


def apart(ours, theirs):
    pairs = zip(ours["train_loss"], theirs["train_loss"], strict=True)
    return max(abs(a / b - 1) for a, b in pairs)


def test_float32_learns_as_one_process_does(mpi_name, tmp_path, alone):
    one, two = alone("float32"), train(on_ranks(mpi_name, 2), 2, tmp_path / "two.json", "float32")
    assert two["test_accuracy"] >= 0.86
    assert apart(one, two) <= 0.01
    assert abs(one["test_accuracy"] - two["test_accuracy"]) <= 0.005


@pytest.mark.parametrize(("mpi_name", "ranks"), [("openmpi", 3), ("mpich", 2)], indirect=["mpi_name"])
def test_float64_is_what_one_process_trains(mpi_name, ranks, tmp_path, alone):
    """`test_collectives.py` has all numbers of ranks under both MPIs; here it is 1200 steps of real images."""
    found = train(on_ranks(mpi_name, ranks), ranks, tmp_path / "several.json", "float64")
    assert apart(alone("float64"), found) <= 1e-9
