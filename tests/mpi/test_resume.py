"""A job that is killed at any moment, and started again, ends with the same bytes as one that was not."""

import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers.mpi import ENVIRONMENTS, PROGRAMS, mpirun, run

from distrib.io.checkpoint_folder import checkpoints, read_manifest

LAST_STEP = 6 * 11


def killed(folder, out, seed):
    """Runs in one process, which is killed at a random moment. Returns how many times it was."""
    draw = random.Random(seed)
    kills = 0
    while True:
        process = subprocess.Popen(
            [sys.executable, PROGRAMS / "resume.py", folder, out, "0.003"], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "TRAINING\n"
        time.sleep(draw.uniform(0.0, 0.25))
        if process.poll() is None and kills < 6:
            process.kill()
            kills += 1
        process.stdout.close()
        if process.wait(30) == 0:
            return kills


def test_one_process_killed_again_and_again(tmp_path):
    whole = run([sys.executable], "resume.py", tmp_path / "a", tmp_path / "whole")
    assert whole.code == 0, whole.output
    assert killed(tmp_path / "b", tmp_path / "resumed", seed=11) >= 2, "the fault came too late"
    assert (tmp_path / "resumed").read_text() == (tmp_path / "whole").read_text()
    assert not list((tmp_path / "b").glob(".*")), "something was left over"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """`whole(mpi_name)`: what two ranks train that nobody stops. It is the same under either MPI: either serves."""
    made, folder = [], tmp_path_factory.mktemp("whole")

    def once(mpi_name):
        if not made:
            ended = mpirun(mpi_name, 2, "resume.py", folder / "a", folder / "whole")
            assert ended.code == 0, ended.output
            made.append((folder / "whole").read_text())
        return made[0]

    return once


@pytest.mark.mpi
def test_a_rank_is_killed(mpi_name, tmp_path, whole):
    program = """
import os, signal, sys, threading, time
from pathlib import Path
folder, at_step = Path(sys.argv[1]), int(sys.argv.pop())
from distrib.io.checkpoint_folder import checkpoints, read_manifest
from distrib.base.errors import StorageError
def kill():
    while True:
        try:
            if read_manifest(checkpoints(folder, "backup")[-1])["step"] >= at_step:
                break
        except (StorageError, IndexError):
            pass
        time.sleep(0.001)
    os.write(1, b"FAULT FIRED\\n")
    os.kill(os.getpid(), signal.SIGKILL)
import mpi4py; mpi4py.rc.initialize = False
rank = int(os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK", "0")))
if rank == 1:
    threading.Thread(target=kill, daemon=True).start()
import runpy
runpy.run_path(PROGRAM, run_name="__main__")
"""
    path = tmp_path / "killed.py"
    path.write_text(program.replace("PROGRAM", repr(str(PROGRAMS / "resume.py"))))
    ended = mpirun(mpi_name, 2, path, tmp_path / "b", tmp_path / "resumed", 0.003, 17)
    assert ended.code != 0
    assert "FAULT FIRED" in ended.output
    assert not (tmp_path / "resumed").exists()
    step = read_manifest(checkpoints(tmp_path / "b", "backup")[-1])["step"]
    assert 17 <= step < LAST_STEP
    again = mpirun(mpi_name, 2, "resume.py", tmp_path / "b", tmp_path / "resumed")
    assert again.code == 0, again.output
    assert (tmp_path / "resumed").read_text() == whole(mpi_name)


@pytest.mark.mpi
@pytest.mark.usefixtures("both_mpis")
def test_e5_a_slow_disk_is_no_lost_rank(tmp_path):
    """Longer than a rank may be stopped: the heartbeats of the watch do not come from the training thread."""

    def slowed(mpi_name):
        folder = tmp_path / mpi_name
        return mpirun(mpi_name, 2, "resume.py", folder, folder.with_suffix(".out"), SLOW_DISK_S="4")

    with ThreadPoolExecutor() as pool:
        jobs = dict(zip(ENVIRONMENTS, pool.map(slowed, ENVIRONMENTS), strict=True))
    for mpi_name, ended in jobs.items():
        assert ended.code == 0, ended.output
        assert "FAULT FIRED" in ended.output
        assert ended.seconds > 4
        assert (tmp_path / f"{mpi_name}.out").exists()


@pytest.mark.mpi
def test_a13_sigterm_of_one_rank_ends_all_at_the_same_step(mpi_name, tmp_path, whole):
    """The last rank sends it to itself at step 8; all of them end after step 9."""
    ended = mpirun(mpi_name, 2, "resume.py", tmp_path / "b", tmp_path / "resumed", SIGNAL_AT="8")
    assert ended.code == 75, ended.output
    assert ended.output.count("SIGTERM: training is saved") == 2
    assert "Traceback" not in ended.output
    assert read_manifest(checkpoints(tmp_path / "b", "backup")[-1])["step"] == 9
    again = mpirun(mpi_name, 2, "resume.py", tmp_path / "b", tmp_path / "resumed")
    assert again.code == 0, again.output
    assert (tmp_path / "resumed").read_text() == whole(mpi_name) != ""
