"""One to three hosts with networks of their own: the collectives, the contract, and faults across hosts."""

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
import virtual_hosts as hosts
from conftest import missing
from helpers.contract import contract
from helpers.mpi import DEATH_S, ENVIRONMENTS, FREEZE_S, job_pids, kill_job, run, started

from distrib.comm.liveness.protocol import HOST_SILENCE_S, UNREACHABLE_S
from distrib.io.checkpoint_folder import checkpoints, number_of

FOLDER = ENVIRONMENTS["openmpi"]
SLOWER_S = 1.5  # on a loaded machine
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def several(request):
    """`several(count)`: hosts that live as long as the test, or until the next call."""
    if hosts.why_not():
        missing(hosts.why_not())
    made = []

    def make(count):
        while made:
            made.pop().__exit__()
        made.append(hosts.Hosts(count).__enter__())
        return made[-1]

    yield make
    for each in made:
        each.__exit__()


@pytest.mark.parametrize(
    ("num_hosts", "ranks_per_host", "implementation", "chosen"),
    [
        (2, 1, "auto", "RingCommunicator"),
        (2, 2, "auto", "HierarchicalCommunicator"),
        (3, 2, "hierarchical", "HierarchicalCommunicator"),
    ],
)
def test_collectives_that_the_next_test_has_not_add_exactly(
    several, num_hosts, ranks_per_host, implementation, chosen
):
    launch = several(num_hosts).mpirun(FOLDER, ranks_per_host)
    ended = run(launch, "collectives.py", implementation, deadline_s=90)
    assert ended.code == 0, ended.output
    assert ended.output.count(f"ENDED WELL {chosen}") == num_hosts * ranks_per_host


@pytest.mark.parametrize(
    ("num_hosts", "ranks_per_host", "ways"),
    [(2, 1, ["ring", "mpi"]), (3, 1, ["ring", "hierarchical"]), (2, 2, ["hierarchical", "ring", "mpi"])],
)
def test_replicas_on_hosts_add_exactly_and_train_what_one_process_trains(
    several, mpi_name, num_hosts, ranks_per_host, ways
):
    launch = several(num_hosts).mpirun(ENVIRONMENTS[mpi_name], ranks_per_host)
    contract(launch, num_hosts * ranks_per_host, "float64", *ways, num_hosts=num_hosts)


def test_buckets_and_float16_between_hosts(several):
    launch = several(2).mpirun(FOLDER, 2)
    ended = run(launch, "overlap.py", deadline_s=90)
    assert ended.code == 0, ended.output
    assert ended.output.count("ENDED WELL True") == 4


def test_central_storage_over_hosts_names_the_strategy_to_take(several):
    ended = run(several(2).mpirun(FOLDER, 1), "central.py")
    assert ended.code == 64
    assert "Over several hosts use ParameterServerStrategy" in ended.output


@pytest.mark.parametrize("victim", [0, 3])
def test_a1_a_rank_killed_on_one_host_is_named_on_the_others(several, victim):
    ended = run(several(2).mpirun(FOLDER, 2), "train.py", "kill", victim, 12)
    ended.names(victim, "died: killed by signal 9", DEATH_S, host=f"h{1 + victim // 2}")
    assert ended.code != 0


def test_a7_a_rank_frozen_on_another_host_is_named_and_one_that_holds_the_gil_is_well(several):
    """Two jobs at once, for the second one does nothing but wait."""
    launch = several(2).mpirun(FOLDER, 1)
    with ThreadPoolExecutor() as pool:
        holding = pool.submit(run, launch, "train.py", "gil", 1, 12)
        frozen = run(launch, "train.py", "stop", 1, 12)
        held = holding.result()
    frozen.names(1, "is frozen: stopped by a signal", FREEZE_S, host="h2")
    assert frozen.code == 75
    assert held.at - held.fired_at > 5
    assert held.code == 0, held.output
    assert held.output.count("ENDED WELL") == 2
    assert "distrib:" not in held.output
    assert not held.survivors


def test_hierarchical_a_rank_that_is_lost_or_slow_in_a_phase_is_named(several):
    """Four jobs at once: a job is over when it has waited."""
    launch = several(2).mpirun(FOLDER, 2)
    cases = [("reduce", "kill", 3), ("update", "stop", 2), ("gather", "kill", 0), ("reduce", "slow", 3)]
    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(run, launch, "phases.py", "hierarchical", *case) for case in cases]
    for (_, fault, victim), job in zip(cases, jobs, strict=True):
        ended, host = job.result(), f"h{1 + victim // 2}"
        if fault == "slow":
            assert ended.code == 0, ended.output
            assert ended.output.count("ENDED WELL") == 4, ended.output
            who = rf"rank {victim} \({host}, pid \d+\)"
            late = ended.told_at(rf"waiting for 1 s in .*: {who} at step 1[12]\.$")
            assert len(re.findall(rf"waiting for .*: {who} at step", ended.output)) == 3, ended.output
            assert 1 - 0.1 < late - ended.fired_at < 1 + SLOWER_S
        else:
            cause, within_s = {
                "kill": ("died: killed by signal 9", DEATH_S),
                "stop": ("is frozen: stopped by a signal", FREEZE_S),
            }[fault]
            ended.names(victim, cause, within_s, step="1[12]", host=host)
            assert ended.code != 0


def test_d4_both_sides_of_a_partition_end_by_themselves(several, tmp_path):
    """Under mpirun without options, which would wait for minutes: each rank finds out by itself."""
    two, folder, out = several(2), tmp_path / "backup", tmp_path / "out"
    with training(two, tmp_path) as (process, job, codes):
        wait_until(lambda: checkpoints(folder, "backup"), 20)
        two.set_link("h2", "down")
        cut, number = time.monotonic(), newest(folder)
        assert not any(code.exists() for code in codes), "the fault came too late"
        wait_until(lambda: all(code.exists() for code in codes), 20)
        seconds = time.monotonic() - cut
        at_the_end = newest(folder)
        kill_job(job)
        output = process.stdout.read()
    assert [code.read_text() for code in codes] == ["75\n", "75\n"], output
    assert seconds < UNREACHABLE_S + 1 + SLOWER_S
    assert re.search(
        r"distrib: rank 1 \(h2, pid \d+\) at step \d+ is lost: its host has not answered", output
    )
    assert at_the_end - number <= 1, "no more than what was being written"
    assert newest(folder) == at_the_end
    assert not out.exists(), "success is claimed"


def test_a7_a_host_of_which_all_is_frozen_is_lost_and_ends_when_it_is_woken(several, tmp_path):
    """As a paused container: mpirun, the liveness server or host agent, and the rank. Two jobs at once."""
    two, frozen = several(2), {"h1": set(), "h2": set()}
    with ExitStack() as stack:
        jobs = {host: stack.enter_context(training(two, tmp_path / host)) for host in frozen}
        at, saved = {}, {}
        for host, (_, job, codes) in jobs.items():
            folder = tmp_path / host / "backup"
            wait_until(lambda folder=folder: checkpoints(folder, "backup"), 20)
            frozen[host] = two.pids(host) & set(job_pids(job))
            for pid in frozen[host]:
                os.kill(pid, signal.SIGSTOP)
            at[host], saved[host] = time.monotonic(), newest(folder)
            assert not any(code.exists() for code in codes), "the fault came too late"
            assert len(frozen[host]) >= 3, "mpirun or its daemon, the server or the host agent, and the rank"
        for host, (_, _, codes) in jobs.items():
            paused, other = codes if host == "h1" else codes[::-1]
            wait_until(other.exists, 20)
            assert time.monotonic() - at[host] < HOST_SILENCE_S + 1 + SLOWER_S
            assert other.read_text() == "75\n"
            assert not paused.exists()
        for host, (process, job, _) in jobs.items():
            for pid in frozen[host]:
                os.kill(pid, signal.SIGCONT)
            wait_until(lambda job=job: not job_pids(job), 10)
            output = process.stdout.read()
            line = {
                "h1": r"rank 1 \(h2, pid \d+\) at step \d+ ends: rank 0 \(h1, pid \d+\) at step \d+ or its host is "
                rf"lost: the liveness server beside it said nothing for {HOST_SILENCE_S:.0f} s",
                "h2": r"rank 1 \(h2, pid \d+\) at step \d+ is lost: no process of its host has said anything",
            }[host]
            assert re.search(f"distrib: {line}", output), output
            written = newest(tmp_path / host / "backup") - saved[host]
            assert written <= (0 if host == "h1" else 1), "no more than what was being written"
            assert not (tmp_path / host / "out").exists(), "success is claimed"


@contextmanager
def training(two, folder):
    """A run of one rank a host that saves in `folder`; the files with the exit codes of its ranks."""
    folder.mkdir(exist_ok=True)
    *launch, python = two.mpirun(FOLDER, 1)
    rank = folder / "rank.sh"
    code = f"{folder}/$OMPI_COMM_WORLD_RANK.code"
    rank.write_text(f'#!/bin/bash\n{python} "$@"\necho $? > {code}.tmp; mv {code}.tmp {code}\n')
    rank.chmod(0o755)
    codes = [folder / f"{number}.code" for number in range(2)]
    with started([*launch, rank], "resume.py", folder / "backup", folder / "out", 0.1) as (process, job):
        yield process, job, codes


def newest(folder):
    return number_of(checkpoints(folder, "backup")[-1])


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it took longer than {seconds} s"
        time.sleep(0.01)
