"""A rank that was frozen and given up by the others, and wakes, because nobody has killed it in time."""

import os
import re
import signal
import time
from pathlib import Path

import pytest
from helpers.mpi import job_pids, on_ranks, started

DEADLINE_S = 20.0
SLOWER_S = 1.0  # on a loaded machine


def state(pid):
    """What /proc says of a process: the letter of its state, and the status that it has ended with, if it has."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "X", 0
    return fields[0], int(fields[-1])


def until(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {what}"
        time.sleep(0.005)


def words_of(pid):
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


@pytest.mark.usefixtures("both_mpis")
@pytest.mark.parametrize(("mpi", "victim", "where"), [("openmpi", 0, "save"), ("mpich", 1, "step")])
def test_a8_a_rank_that_wakes_after_it_was_given_up_ends_and_saves_nothing(tmp_path, mpi, victim, where):
    """mpirun is stopped, so that it cannot kill the ranks: it would do so as soon as the first has ended."""
    with started(on_ranks(mpi, 3), "frozen.py", tmp_path, victim, where) as (process, job):
        lines = iter(process.stdout.readline, "")
        said = next(line for line in lines if "FAULT FIRED" in line)
        frozen = int(said.split()[-1])
        until(lambda: state(frozen)[0] == "T", "the rank is stopped")
        others = [pid for pid in job_pids(job) if words_of(pid)[1].endswith("frozen.py") and pid != frozen]
        starters = [pid for pid in job_pids(job) if "python" not in words_of(pid)[0]]
        assert len(others) == 2
        assert process.pid in starters
        for pid in starters:
            os.kill(pid, signal.SIGSTOP)
        until(lambda: all(state(pid)[0] == "Z" for pid in others), "the others have ended")
        assert [os.waitstatus_to_exitcode(state(pid)[1]) for pid in others] == [75, 75]
        assert state(frozen)[0] == "T", "it was killed, and could not wake"
        saved = sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("."))
        assert saved == [f"ckpt-1-{batch}" for batch in range(1, 8)]
        woken = time.monotonic()
        os.kill(frozen, signal.SIGCONT)
        until(lambda: state(frozen)[0] == "Z", "the rank that has woken ends")
        assert time.monotonic() - woken < 1 + SLOWER_S
        assert os.waitstatus_to_exitcode(state(frozen)[1]) == 75
        assert sorted(path.name for path in tmp_path.iterdir()) == saved, "it has written, or left something"
        for pid in starters:
            os.kill(pid, signal.SIGCONT)
        output = "".join(lines)
        assert process.wait(DEADLINE_S) != 0
    who = rf"rank {victim} \(\S+, pid {frozen}\) at step \d+"
    assert re.search(f"distrib: {who} is frozen: stopped by a signal", output), output
    assert re.search(f"distrib: {who} ends: the others have given it up, because it is frozen", output), (
        output
    )
    assert "ENDED WELL" not in output
