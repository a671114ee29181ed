"""Loaders of PyTorch, Hugging Face and grain, and frames: n replicas train what one trains, and read once."""

import os
import re
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "programs" / "loaders.py"
ROOT = Path(__file__).parents[2]
PEERS = Path(os.environ.get("DISTRIB_PEERS", Path.home() / ".cache" / "distrib" / "peers"))
ENVIRON = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def lines():
    python = PEERS / "loaders" / "bin" / "python"
    ended = subprocess.run(
        [python, PROGRAM], capture_output=True, text=True, timeout=110, check=False, env=ENVIRON
    )
    assert ended.returncode == 0, ended.stderr
    return dict(line.split(": ", 1) for line in ended.stdout.splitlines())


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "source",
    [
        "loader",
        "shuffled",
        "workers",
        "dropped",
        "generator",
        "weighted",
        "iterable",
        "hugging face",
        "grain",
        "pandas",
    ],
)
def test_exact(lines, source):
    worst, _ = lines[source].split(" ", 1)
    assert float(worst) < 1e-12


@pytest.mark.parametrize("source", ["loader", "shuffled", "workers", "generator"])
def test_each_example_is_read_by_one_replica(lines, source):
    """Twice by 2 replicas and twice by 3, in two epochs each; one example more by each, which shows the shapes."""
    counts = re.findall(r"\d+", lines[source].split(" ", 1)[1])
    assert counts == ["4", "9"]


def test_a_distributed_sampler_is_refused(lines):
    assert "DistributedSampler would divide the examples once more" in lines["refused"]


def test_the_example():
    python = PEERS / "loaders" / "bin" / "python"
    ended = subprocess.run(
        [python, ROOT / "examples" / "data" / "loader.py"],
        capture_output=True, text=True, timeout=60, check=True, env=ENVIRON,
    )  # fmt: skip
    assert float(ended.stdout.split()[-1]) > 0.9
