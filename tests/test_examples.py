"""The examples, alone and on two ranks, print the same."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.mpi import mpirun

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("example", "words", "least"),
    [
        ("low_level/session.py", "accuracy ", 0.9),
        ("low_level/tape.py", "accuracy ", 0.9),
        ("own_layer/gated.py", "accuracy ", 0.8),
        ("gan/gan.py", "radius ", 0.8),
        ("data/generator.py", "accuracy ", 0.9),
        ("data/folder.py", "accuracy ", 0.9),
    ],
)
def test_alone_and_on_two_ranks(example, words, least):
    alone = subprocess.run(
        [sys.executable, EXAMPLES / example], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert float(alone.rpartition(words)[2].split()[0]) > least
    ranks = mpirun("openmpi", 2, EXAMPLES / example)
    assert ranks.code == 0, ranks.output
    both = ranks.output.rpartition(words)[2].split()[0]
    assert float(both) == pytest.approx(float(alone.rpartition(words)[2].split()[0]), abs=0.03)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_loop_around_parameter_servers(mode):
    command = [sys.executable, EXAMPLES / "low_level" / "parameter_servers.py", mode]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    accuracy, updates = re.fullmatch(r"accuracy (\S+) after (\d+) updates\n", ended.stdout).groups()
    assert float(accuracy) > 0.9
    assert int(updates) == 1000 if mode == "sync" else int(updates) >= 1000
    assert "is gone" not in ended.stderr


def pytest_in(folder, *arguments):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_tests_of_the_example():
    ended = pytest_in(EXAMPLES / "own_layer")
    assert ended.returncode == 0, ended.stdout
    assert "3 passed" in ended.stdout


def test_the_plugin(tmp_path):
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = --strict-markers -p distrib.testing.pytest_plugin\n"
    )
    (tmp_path / "test_it.py").write_text(
        """
import time, urllib.request
import numpy as np
import pytest
import distrib
from distrib import keras

def test_a_seed_is_set():
    distrib.set_random_seed(5)
    keras.Sequential()

def test_and_forgotten():
    assert keras.Sequential().name == "sequential"
    assert distrib.training.seeds.get_random_seed() == 0

@pytest.mark.distrib(ranks=3)
def test_ranks(strategy, tmp_path):
    assert strategy.reduce("SUM", 1.0) == 3
    assert tmp_path.is_dir()

@pytest.mark.distrib(ranks=2, strategy="ps-sync")
def test_workers(strategy):
    assert type(strategy).__name__ == "ParameterServerStrategy"

@pytest.mark.distrib(ranks=2)
@pytest.mark.xfail(strict=True, raises=AssertionError)
def test_a_rank_that_fails_fails_the_test(strategy):
    assert strategy.replica_id == 0

CALLS = [lambda: time.sleep(0.1), lambda: np.random.rand(2), lambda: np.random.default_rng()]

@pytest.mark.parametrize("call", CALLS)
def test_strict(strict_tests, call):
    with pytest.raises(AssertionError, match="must not call"):
        call()
    np.random.default_rng(1).random()

def test_downloads(no_downloads):
    no_downloads["https://example.org/a"] = b"abc"
    assert urllib.request.urlopen("https://example.org/a").read() == b"abc"
    with pytest.raises(OSError, match="not in the fixture"):
        urllib.request.urlopen("https://example.org/b")
"""
    )
    ended = pytest_in(tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert "8 passed, 1 xfailed" in ended.stdout
