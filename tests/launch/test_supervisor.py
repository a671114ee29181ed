"""Signals that reach every process of a job, as schedulers send them, helper processes included."""

import os
import signal
import time
from pathlib import Path

import pytest
from helpers.launch import Launch, config
from helpers.mpi import ENVIRONMENTS, ROOT, available, job_pids, on_ranks, started

from distrib.io.checkpoint_folder import read_manifest

PROGRAM = ROOT / "tests" / "launch" / "programs" / "ends.py"

WAYS = [*[f"mirrored {mpi}" for mpi in available()], "central_storage openmpi", "ps-sync", "ps-async"]
HELPERS = (b"distrib.comm.", b"supervisor")
"""What stands in the command lines of processes that only help: liveness servers, and supervisors."""


def progress(folder):
    """Where the newest backup is; None before there is one."""
    for backup in sorted((folder / "backup").glob("*-*")):
        try:
            found = read_manifest(backup)["progress"]
        except Exception:
            continue  # it is being replaced
        return found["epoch"], found["step"]
    return None


def until(condition, what, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)


def signal_all(job, number, which=lambda line: True):
    """Send a signal to every process of a job whose command line fits; returns how many there were."""
    count = 0
    for pid in job_pids(job):
        try:
            if which(Path(f"/proc/{pid}/cmdline").read_bytes()):
                os.kill(pid, number)
                count += 1
        except (OSError, ProcessLookupError):
            pass
    return count


def launch(way, cause, folder):
    strategy, _, mpi = way.partition(" ")
    python = ENVIRONMENTS[mpi or "openmpi"] / "bin" / "python"
    made = Launch(
        "--log-dir", folder / "logs", config(folder, strategy), PROGRAM, cause, folder, python=python
    )
    until(lambda: len(list(folder.glob("trains-*"))) == 2, "all train", 40)
    return made


@pytest.mark.parametrize("way", WAYS)
def test_usr1_to_every_process_saves_and_training_goes_on(tmp_path, way):
    job = launch(way, "slow", tmp_path)
    assert progress(tmp_path) == (0, 0)
    assert signal_all(job.job, signal.SIGUSR1) >= 5
    until(lambda: (progress(tmp_path) or (0, 0)) > (0, 0), "it saves")
    assert progress(tmp_path) < (39, 0), "in the midst"
    ended = job.ended()
    assert ended.code == 0, ended.output
    assert "died" not in ended.output
    assert not ended.survivors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
@pytest.mark.parametrize("way", WAYS)
def test_term_to_every_process_saves_and_ends(tmp_path, way, number):
    job = launch(way, "wait", tmp_path)
    assert signal_all(job.job, number) >= 5
    ended = job.ended()
    assert ended.code == 75, ended.output
    assert progress(tmp_path) > (0, 0)
    assert "died" not in ended.output
    assert not ended.survivors


@pytest.mark.parametrize("way", WAYS)
def test_helpers_live_through_signals(tmp_path, way):
    job = launch(way, "slow", tmp_path)
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        assert signal_all(job.job, number, lambda line: any(each in line for each in HELPERS)) >= 2
    ended = job.ended()
    assert ended.code == 0, ended.output
    assert not ended.survivors


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
@pytest.mark.parametrize("mpi", available())
def test_signals_to_every_process_under_mpirun(tmp_path, mpi, number):
    with started(on_ranks(mpi, 2), PROGRAM, "wait", tmp_path) as (process, job):
        until(lambda: len(list(tmp_path.glob("trains-*"))) == 2, "all train")
        assert signal_all(job, number) >= 4
        until(lambda: (progress(tmp_path) or (0, 0)) > (0, 0), "it saves")
        if number == signal.SIGUSR1:
            time.sleep(0.5)
            assert process.poll() is None, "training goes on"
        else:
            process.communicate(timeout=10)
            until(lambda: not job_pids(job), "all end", 2.0)


def test_a_launcher_under_nohup_goes_on_without_its_terminal(tmp_path):
    file = config(tmp_path, "ps-sync")
    job = Launch("--log-dir", tmp_path / "logs", file, PROGRAM, "slow", tmp_path, prefix=("nohup",))
    until(lambda: len(list(tmp_path.glob("trains-*"))) == 2, "all train")
    job.signal(signal.SIGHUP)
    assert job.ended().code == 0
