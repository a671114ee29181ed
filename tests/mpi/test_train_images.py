"""The main job on real images: `mpirun -n N python examples/train_images.py`, judged by its --json file."""

import json

import pytest
from helpers.mpi import ROOT, mpirun

EXAMPLE = ROOT / "examples" / "train_images.py"
pytestmark = [pytest.mark.mpi, pytest.mark.usefixtures("fashion_mnist"), pytest.mark.timeout(180)]


def train(mpi_name, ranks, tmp_path, *arguments):
    file = tmp_path / f"{mpi_name}-{ranks}.json"
    ended = mpirun(
        mpi_name,
        ranks,
        EXAMPLE,
        *["--dataset", "fashion-mnist", "--epochs", "5", "--json", file, *arguments],
        deadline_s=120.0,
    )
    assert ended.code == 0, ended.output
    result = json.loads(file.read_text())
    assert result["num_replicas"] == ranks
    assert len(result["weights_sha256"]) == ranks
    assert len(set(result["weights_sha256"])) == 1
    assert len(result["samples_per_second"]) == len(result["train_loss"]) == result["epochs"] == 5
    return result


def apart(ours, theirs):
    pairs = zip(ours["train_loss"], theirs["train_loss"], strict=True)
    return max(abs(a / b - 1) for a, b in pairs)


def test_float32_learns_as_one_process_does(mpi_name, tmp_path):
    one, two = (train(mpi_name, ranks, tmp_path) for ranks in (1, 2))
    assert two["test_accuracy"] >= 0.86
    assert apart(one, two) <= 0.01
    assert abs(one["test_accuracy"] - two["test_accuracy"]) <= 0.005


def test_float64_is_what_one_process_trains(mpi_name, tmp_path):
    one, *others = (train(mpi_name, ranks, tmp_path, "--dtype", "float64") for ranks in (1, 2, 3))
    for other in others:
        assert apart(one, other) <= 1e-9
