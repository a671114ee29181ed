"""Faults under mpirun: the fault fires, all processes are gone in time, success is not claimed, our line says why.

Rows of the fault catalogue stand in the test names.
"""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers.mpi import (
    DEATH_S,
    ENVIRONMENTS,
    FREEZE_S,
    GONE_S,
    PROGRAMS,
    SLOWER_S,
    job_pids,
    mpirun,
    on_ranks,
    run,
    started,
)
from helpers.ports import listening, listening_now


def ended_badly(mpi_name, ended, victim, cause, within_s=DEATH_S, step=12):
    ended.names(victim, cause, within_s, step)
    assert not_successful(mpi_name, ended), ended.output


def not_successful(mpi_name, ended):
    """MPICH's mpirun may give 0 where a rank left with 0; then success is the marker, which not every rank gave."""
    if mpi_name == "mpich" and ended.code == 0:
        return ended.output.count("ENDED WELL") < 2
    return ended.code != 0


def at_once(jobs, **variables):
    """What comes of several jobs, which do little but wait for the watch; what `mpirun` takes, of each and of all."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(lambda job: mpirun(*job, **variables), jobs))


@pytest.mark.parametrize(("ranks", "victim"), [(2, 0), (2, 1), (3, 1), (4, 0), (4, 3)])
def test_a1_killed_rank(mpi_name, ranks, victim):
    ended = mpirun(mpi_name, ranks, "train.py", "kill", victim, 12)
    ended_badly(mpi_name, ended, victim, "died: killed by signal 9")


@pytest.mark.parametrize("victim", [0, 1])
def test_a16_segmentation_fault(mpi_name, victim):
    ended = mpirun(mpi_name, 2, "train.py", "segv", victim, 12)
    ended_badly(mpi_name, ended, victim, "died: killed by signal 11")


@pytest.mark.parametrize(("ranks", "victim"), [(2, 0), (2, 1), (3, 1), (4, 2)])
def test_a4_exception(mpi_name, ranks, victim):
    ended = mpirun(mpi_name, ranks, "train.py", "raise", victim, 12)
    ended_badly(mpi_name, ended, victim, "failed: ValueError: a bug of the user")
    assert ended.output.count("Traceback") == 1, ended.output


@pytest.mark.parametrize("victim", [0, 1])
def test_a5_sys_exit(mpi_name, victim):
    ended = mpirun(mpi_name, 2, "train.py", "exit7", victim, 12)
    assert ended.code != 0
    ended_badly(mpi_name, ended, victim, "has ended its script")


@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize(("fault", "step"), [("exit0", 12), ("exit0_after", 200)])
def test_a6_os_exit_0(mpi_name, fault, step, victim):
    ended = mpirun(mpi_name, 2, "train.py", fault, victim, 12)
    ended_badly(mpi_name, ended, victim, "died: exited with code 0", step=step)


def test_a7_stopped_rank(mpi_name):
    jobs = at_once([(mpi_name, 3, "train.py", "stop", victim, 12) for victim in (0, 1)])
    for victim, ended in enumerate(jobs):
        ended_badly(mpi_name, ended, victim, "is frozen: stopped by a signal", FREEZE_S)
        assert ended.code == 75 or mpi_name == "mpich", ended.output


@pytest.mark.usefixtures("both_mpis")
def test_a9_slow_rank_is_named_and_waited_for():
    for ended in at_once([(mpi_name, 2, "train.py", "slow", 1, 12) for mpi_name in ENVIRONMENTS]):
        assert ended.code == 0, ended.output
        assert ended.output.count("ENDED WELL") == 2
        line = r"waiting for 5 s in .* Not there: rank 1 \(\S+, pid \d+\) at step 12"
        assert 5 - 0.1 < ended.told_at(line) - ended.fired_at < 5 + SLOWER_S


@pytest.mark.usefixtures("both_mpis")
def test_a10_b6_a_rank_that_is_too_slow_or_skips_a_collective_is_named_and_all_end():
    """Four jobs, which do little but wait for 2 s."""
    late = r"Not there: rank {} \(\S+, pid \d+\) at step {}"
    line = r"distrib: rank {} .* failed: PeerLostError: Rank {} waited 2 s in .* "
    cases = {
        ("train.py", "slow", 1, 12): line.format("[02]", "[02]") + late.format(1, 12),
        ("absent.py", 2): line.format("[01]", "[01]") + late.format(2, 0),
    }
    jobs = [(mpi_name, 3, *case) for case in cases for mpi_name in ENVIRONMENTS]
    for (mpi_name, _, *case), ended in zip(jobs, at_once(jobs, TIMEOUT_S="2"), strict=True):
        told = ended.told_at(cases[tuple(case)]) - ended.fired_at
        assert 2 - 0.1 < told < 2 + 1 + SLOWER_S, ended.output
        assert ended.at - ended.fired_at < 2 + 1 + SLOWER_S + GONE_S, ended.output
        assert not ended.survivors
        # MPICH's mpirun may give the 9 of the rank that it has killed.
        assert ended.code == 75 or (mpi_name == "mpich" and ended.code != 0), ended.output
        assert "ENDED WELL" not in ended.output


@pytest.mark.parametrize(
    ("fault", "mpi_name"), [("kill", "mpich"), ("stop", "openmpi")], indirect=["mpi_name"]
)
@pytest.mark.parametrize(
    ("strategy", "ranks", "phases"),
    [
        ("shared_memory", 2, ["reduce", "update", "gather"]),
        ("ring", 3, ["reduce", "update", "gather"]),
        ("central", 2, ["before", "reduce", "update", "gather"]),
        ("overlap", 4, ["reduce"]),  # in the others it is as the ring
        ("mpi", 2, ["reduce", "gather"]),
    ],
)
def test_a_rank_that_is_lost_in_the_midst_of_a_step_is_named(strategy, ranks, phases, fault, mpi_name):
    cause = {"kill": "died: killed by signal 9", "stop": "is frozen"}[fault]
    within_s = {"kill": DEATH_S, "stop": FREEZE_S}[fault]
    jobs = at_once([(mpi_name, ranks, "phases.py", strategy, phase, fault, 1) for phase in phases])
    for phase, ended in zip(phases, jobs, strict=True):
        assert f"in {phase}" in ended.output
        ended_badly(mpi_name, ended, 1, cause, within_s, step="1[12]")  # the count goes up in its midst


@pytest.mark.usefixtures("both_mpis")
@pytest.mark.parametrize("strategy", ["shared_memory", "central", "mpi"])
def test_a9_a_rank_that_is_slow_in_the_midst_of_a_step_is_named_and_waited_for(strategy):
    """Each ends well only with what one process trains."""
    cases = [("reduce", "openmpi", 1), ("update", "mpich", 0), ("gather", "openmpi", 1)]
    jobs = at_once([(mpi, 2, "phases.py", strategy, phase, "slow", victim) for phase, mpi, victim in cases])
    for (phase, _, victim), ended in zip(cases, jobs, strict=True):
        was_slow_and_named(ended, victim, phase, 2)


@pytest.mark.usefixtures("both_mpis")
def test_a9_in_a_ring_all_name_the_rank_that_is_slow_not_their_neighbour():
    cases = [("reduce", "openmpi", 1, 3), ("gather", "mpich", 0, 3), ("reduce", "mpich", 2, 4)]
    jobs = at_once(
        [(mpi, ranks, "phases.py", "ring", phase, "slow", who) for phase, mpi, who, ranks in cases]
    )
    for (phase, _, victim, ranks), ended in zip(cases, jobs, strict=True):
        was_slow_and_named(ended, victim, phase, ranks)


def was_slow_and_named(ended, victim, phase, ranks):
    """By each of the others, and nobody else was."""
    assert f"in {phase}" in ended.output
    assert ended.code == 0, ended.output
    assert ended.output.count("ENDED WELL") == ranks, ended.output
    late = rf"(Not there|Not done with it): rank {victim} \(\S+, pid \d+\) at step 1[12]\.$"
    assert 1 - 0.1 < ended.told_at(rf"waiting for 1 s in .* {late}") - ended.fired_at < 1 + SLOWER_S
    warnings = [line for _, line in ended.lines if "waiting for" in line]
    assert len(warnings) == ranks - 1, ended.output
    assert all(re.search(late, warning) for warning in warnings), ended.output


@pytest.mark.usefixtures("both_mpis")
def test_c32_values_that_are_half_updated_are_not_saved(tmp_path):
    """A rank wrapper tells mpirun of a death a second later, so that the survivors can end by themselves."""
    wrapper = tmp_path / "rank.sh"
    wrapper.write_text(
        '#!/bin/bash\n"${@:2}"\ncode=$?\n'
        'echo $code > "$1.${OMPI_COMM_WORLD_RANK:-$PMI_RANK}"\nsleep 1\nexit $code\n'
    )
    wrapper.chmod(0o755)

    def torn(mpi_name, name, *victim):
        *launch, python = on_ranks(mpi_name, 2)
        program = [PROGRAMS / "torn.py", tmp_path / name, *victim]
        return run([*launch, wrapper], tmp_path / f"{name}.code", python, *program)

    with ThreadPoolExecutor() as pool:
        whole = pool.submit(torn, "openmpi", "whole")
        lost = {name: pool.submit(torn, name, name, 1) for name in ("openmpi", "mpich")}
    assert whole.result().output.count("ENDED WELL") == 2
    expected = [(epoch, batch) for epoch in (1, 2) for batch in range(1, 11)][:11]
    for name, job in lost.items():
        ended = job.result()
        ended.names(1, "died: killed by signal 9", DEATH_S, step=11)
        assert not_successful(name, ended), ended.output
        assert (tmp_path / f"{name}.code.0").read_text() == "75\n"
        assert "ENDED WELL" not in ended.output
        saved = {path.name for path in (tmp_path / name).iterdir() if not path.name.startswith(".")}
        assert saved == {f"ckpt-{epoch}-{batch}" for epoch, batch in expected}
        for file in ("model.safetensors", "optimizer.safetensors"):
            newest = tmp_path / name / "ckpt-2-1" / file
            assert newest.read_bytes() == (tmp_path / "whole" / "ckpt-2-1" / file).read_bytes()


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
        assert len(job_pids(job)) >= 4, "mpirun, two ranks and the server"
        begin = time.monotonic()
        process.kill()
        while (left := job_pids(job)) and time.monotonic() - begin < 6:
            time.sleep(0.02)
        assert not left
        assert time.monotonic() - begin < 2 + 1.5
        assert ports, "mpirun and the server listen"
        assert not set().union(*ports.values()) & listening_now()


def test_a15_memory_error(mpi_name):
    ended_badly(mpi_name, mpirun(mpi_name, 2, "train.py", "memory", 1, 12), 1, "failed: .*MemoryError")


def test_a17_fork_is_safe(mpi_name):
    ended = mpirun(mpi_name, 2, "train.py", "fork", 1, 12)
    assert ended.code == 0, ended.output
    assert "child said 100.0 refused: This process" in ended.output
    assert ended.output.count("ENDED WELL") == 2


@pytest.mark.parametrize("ranks", [1, 4])
def test_a18_any_number_of_ranks_ends_well(mpi_name, ranks):
    """2 and 3 do so in `test_collectives.py`."""
    ended = mpirun(mpi_name, ranks, "train.py", "none", 0, 0)
    assert ended.code == 0, ended.output
    assert ended.output.count("ENDED WELL") == ranks
    assert "distrib:" not in ended.output


def test_b9_nan_names_rank_variable_and_step(mpi_name):
    ended = mpirun(mpi_name, 2, "train.py", "nan", 1, 12)
    assert ended.code != 0
    assert "FAULT FIRED" in ended.output
    assert re.search(
        r"NonFiniteError: NaN or Inf in the gradient at step 12, first in \S+ on rank 1", ended.output
    )


@pytest.mark.parametrize(
    ("mpi_name", "what", "shown"),
    [
        ("openmpi", "units", r"layers\[0\].units: rank 0: 16, rank 1: 17"),
        ("mpich", "units", r"layers\[0\].units: rank 0: 16, rank 1: 17"),
        ("mpich", "seed", "model.seed: rank 0: 0, rank 1: 1"),
        ("mpich", "dtype", "model.dtype: rank 0: 'float32', rank 1: 'float64'"),
        ("mpich", "layers", r"layers\[1\].class"),
        ("mpich", "name", r"layers\[0\].name: rank 0: 'dense', rank 1: 'x'"),
        ("mpich", "optimizer", "optimizer.learning_rate: rank 0: 0.001, rank 1: 0.01"),
        ("mpich", "data", "data.x"),
        ("mpich", "length", "data.x"),
        ("mpich", "batch_size", "batch_size: rank 0: 8, rank 1: 7"),
        ("openmpi", "collective", "differ in op"),
        ("mpich", "collective", "differ in op"),
    ],
    indirect=["mpi_name"],
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
