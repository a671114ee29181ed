"""Faults under mpirun: the fault fires, all processes are gone in time, success is not claimed, our line says why.

Rows of the fault catalogue stand in the test names.
"""

import itertools
import re
import time

import pytest
from helpers.mpi import job_pids, mpirun, on_ranks, started
from helpers.ports import listening, listening_now

BOUND_S = 5.0
START_S = 4.0  # mpirun, imports and training up to the fault, on a loaded machine


def ended_badly(ended, victim, cause, step="12"):
    assert "FAULT FIRED" in ended.output, ended.output
    assert ended.code != 0 or "ENDED WELL" not in ended.output, ended.output
    assert not ended.survivors
    assert ended.seconds < START_S + BOUND_S, f"{ended.seconds:.1f} s\n{ended.output}"
    line = rf"distrib: .*rank {victim} \(\S+, pid \d+\) at step {step}.*{cause}"
    assert re.search(line, ended.output), f"no line matching {line} in\n{ended.output}"


@pytest.mark.parametrize(("ranks", "victim"), [(2, 0), (2, 1), (3, 1), (4, 0), (4, 3)])
def test_a1_killed_rank(mpi_name, ranks, victim):
    ended = mpirun(mpi_name, ranks, "train.py", "kill", victim, 12)
    ended_badly(ended, victim, "died: killed by signal 9")


@pytest.mark.parametrize("victim", [0, 1])
def test_a16_segmentation_fault(mpi_name, victim):
    ended = mpirun(mpi_name, 2, "train.py", "segv", victim, 12)
    ended_badly(ended, victim, "died: killed by signal 11")


@pytest.mark.parametrize(("ranks", "victim"), [(2, 0), (2, 1), (3, 1), (4, 2)])
def test_a4_exception(mpi_name, ranks, victim):
    ended = mpirun(mpi_name, ranks, "train.py", "raise", victim, 12)
    ended_badly(ended, victim, "failed: ValueError: a bug of the user")
    assert ended.output.count("Traceback") == 1, ended.output


@pytest.mark.parametrize("victim", [0, 1])
def test_a5_sys_exit(mpi_name, victim):
    ended = mpirun(mpi_name, 2, "train.py", "exit7", victim, 12)
    assert ended.code != 0
    ended_badly(ended, victim, "has ended its script")


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize(("fault", "step"), [("exit0", 12), ("exit0_after", 200)])
def test_a6_os_exit_0(mpi_name, fault, step, victim):
    ended = mpirun(mpi_name, 2, "train.py", fault, victim, 12)
    assert "FAULT FIRED" in ended.output
    assert not ended.survivors
    assert re.search(
        rf"distrib: rank {victim} \(\S+, pid \d+\) at step {step} died: exited with code 0", ended.output
    )
    if mpi_name == "mpich":
        # Hydra kills the others and returns the victim's 0: success is the marker, which not every rank gave.
        assert ended.output.count("ENDED WELL") < 2, ended.output
    else:
        assert ended.code != 0


@pytest.mark.parametrize("victim", [0, 1])
def test_a7_stopped_rank(mpi_name, victim):
    ended = mpirun(mpi_name, 3, "train.py", "stop", victim, 12)
    ended_badly(ended, victim, "is frozen: stopped by a signal")


def test_a9_slow_rank_is_named_and_waited_for(mpi_name):
    ended = mpirun(mpi_name, 2, "train.py", "slow", 1, 12)
    assert ended.code == 0, ended.output
    assert "FAULT FIRED" in ended.output
    assert ended.output.count("ENDED WELL") == 2
    assert re.search(r"waiting for 5 s in .* Not there: rank 1 \(\S+, pid \d+\) at step 12", ended.output)


@pytest.mark.parametrize("fault", ["kill", "stop"])
@pytest.mark.parametrize(
    ("strategy", "phase"),
    [
        *itertools.product(["shared_memory", "ring", "central"], ["reduce", "update", "gather"]),
        ("overlap", "reduce"),  # in the others it is as the ring
    ],
)
def test_a_rank_that_is_lost_in_the_midst_of_a_step_is_named(strategy, fault, phase):
    mpi_name = {"kill": "mpich", "stop": "openmpi"}[fault]
    ended = mpirun(mpi_name, 2, "phases.py", strategy, phase, fault)
    cause = {"kill": "died: killed by signal 9", "stop": "is frozen"}[fault]
    ended_badly(ended, 1, cause, step="1[12]")  # the count goes up in the midst of the step


def test_a11_nothing_outlives_mpirun_that_is_killed(mpi_name, tmp_path):
    """No rank, no hub, and no port that one of them listened on."""
    with started(on_ranks(mpi_name, 2), "resume.py", tmp_path / "a", tmp_path / "out", 0.1) as (process, job):
        line = ""
        while "TRAINING" not in line:
            line = process.stdout.readline()
            assert line, "it ended"
        deadline = time.monotonic() + 10
        while len(ports := listening(job_pids(job))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(job_pids(job)) >= 4, "mpirun, two ranks and the hub"
        begin = time.monotonic()
        process.kill()
        while (left := job_pids(job)) and time.monotonic() - begin < 6:
            time.sleep(0.02)
        assert not left
        assert time.monotonic() - begin < 2 + 1.5
        assert ports, "mpirun and the hub listen"
        assert not set().union(*ports.values()) & listening_now()


def test_a15_memory_error(mpi_name):
    ended_badly(mpirun(mpi_name, 2, "train.py", "memory", 1, 12), 1, "failed: .*MemoryError")


def test_a17_fork_is_safe(mpi_name):
    ended = mpirun(mpi_name, 2, "train.py", "fork", 1, 12)
    assert ended.code == 0, ended.output
    assert "child said 100.0 refused: This process" in ended.output
    assert ended.output.count("ENDED WELL") == 2


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_a18_any_number_of_ranks_ends_well(mpi_name, ranks):
    ended = mpirun(mpi_name, ranks, "train.py", "none", 0, 0)
    assert ended.code == 0, ended.output
    assert ended.output.count("ENDED WELL") == ranks
    assert "distrib:" not in ended.output


def test_b6_a_rank_that_skips_a_collective_is_named(mpi_name):
    ended = mpirun(mpi_name, 3, "train.py", "none", 0, 0)
    assert ended.code == 0
    ended = mpirun(mpi_name, 3, "absent.py", 2)
    assert ended.code != 0
    assert "FAULT FIRED" in ended.output
    assert re.search(r"Not there: rank 2 \(\S+, pid \d+\)", ended.output), ended.output
    assert ended.seconds < START_S + 2 + BOUND_S


def test_b9_nan_names_rank_variable_and_step(mpi_name):
    ended = mpirun(mpi_name, 2, "train.py", "nan", 1, 12)
    assert ended.code != 0
    assert "FAULT FIRED" in ended.output
    assert re.search(
        r"NonFiniteError: NaN or Inf in the gradient at step 12, first in \S+ on rank 1", ended.output
    )


@pytest.mark.parametrize(
    ("what", "shown"),
    [
        ("units", r"layers\[0\].units: rank 0: 16, rank 1: 17"),
        ("seed", "model.seed: rank 0: 0, rank 1: 1"),
        ("dtype", "model.dtype: rank 0: 'float32', rank 1: 'float64'"),
        ("layers", r"layers\[1\].class"),
        ("name", r"layers\[0\].name: rank 0: 'dense', rank 1: 'x'"),
        ("optimizer", "optimizer.learning_rate: rank 0: 0.001, rank 1: 0.01"),
        ("data", "data.x"),
        ("length", "data.x"),
        ("batch_size", "batch_size: rank 0: 8, rank 1: 7"),
        ("collective", "differ in op"),
    ],
)
def test_b1_to_b7_disagreement_is_told(mpi_name, what, shown):
    ended = mpirun(mpi_name, 2, "disagree.py", what)
    assert ended.code != 0
    assert "FAULT FIRED" in ended.output
    assert "ENDED WELL" not in ended.output
    assert re.search(shown, ended.output), ended.output
    assert "ProtocolError" in ended.output


def test_one_rank_alone_may_build_read_and_predict(mpi_name):
    ended = mpirun(mpi_name, 2, "train.py", "predict_alone", 1, 0)
    assert ended.code == 0, ended.output
    assert "predicted (3, 3) 4" in ended.output
    assert ended.output.count("ENDED WELL") == 2
