"""Kills each role of a local cluster in turn at random moments: no hang, no wrong success, nothing left over."""

import os
import random
import re
import signal
import time
from pathlib import Path

from helpers.launch import PROGRAM, Launch, config
from helpers.mpi import job_pids
from helpers.ports import listening, listening_now

_SHARED_MEMORY = "/dev/shm"
EPOCHS = 120
"""Of at least 16 ms each: nobody is done before the kill."""
VICTIMS = {
    "ps-sync": ["chief 0", "worker 0", "ps 0", "ps 1", "evaluator 0", "launcher"],
    "ps-async": ["chief 0", "worker 0", "ps 0", "ps 1", "evaluator 0", "launcher"],
    "mirrored": ["chief 0", "worker 0", "mpirun", "evaluator 0", "launcher"],
    "central_storage": ["chief 0", "worker 0", "mpirun", "evaluator 0", "launcher"],
}
ROUNDS = [(strategy, victim) for strategy, victims in VICTIMS.items() for victim in victims]


def kill_one(folder: Path, strategy: str, victim: str, seed: int) -> tuple[int, bool]:
    """One round; returns the exit code, and whether the victim lived when it was killed.

    Raises:
        AssertionError: it hung, succeeded wrongly, told no cause, or left processes.
    """
    folder.mkdir()
    file = config(folder, strategy, evaluator=True)
    launch = Launch("--tee", "--log-dir", folder / "logs", file, PROGRAM, EPOCHS, "none", 0, folder)
    launch.until("I am", 3)
    if strategy.startswith("ps-") and victim == "worker 0":
        launch.until("TRAINING", 2)  # one that never came is waited for: start_timeout_s, a minute
    time.sleep(random.Random(seed).uniform(0.0, 1.5))
    pid = _pid(launch, victim)
    alive = pid is not None
    if pid is not None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            alive = False
    ended = launch.ended(60)
    assert not ended.survivors, f"{strategy}, {victim}: {ended.survivors} survive\n{ended.output}"
    finished = "\nENDED WELL" in ended.output and "\nloss " in ended.output
    if victim == "launcher":
        assert ended.code == -signal.SIGKILL or not alive
    elif ended.code == 0:
        assert finished, f"a wrong success: {strategy}, {victim}\n{ended.output}"
    else:
        assert ended.code == 75, f"{strategy}, {victim}: {ended.code}\n{ended.output}"
        who = r"mpirun|rank \d" if victim == "mpirun" else re.escape(victim)
        assert re.search(f"distrib: .*({who})", ended.output.splitlines()[-1]), ended.output
    return ended.code, alive


def _pid(launch: Launch, victim: str) -> int | None:
    if victim == "launcher":
        return launch.process.pid
    pids = job_pids(launch.job)
    if victim == "mpirun":
        return next((pid for pid in pids if _word(pid, 0).endswith((b"mpirun", b"prterun"))), None)
    job, index = victim.split()
    ranks = {"chief 0": b"0", "worker 0": b"1"}
    for pid in pids:
        environ = _read(pid, "environ").split(b"\0")
        if b"distrib.launch.task.entrypoint" not in _read(pid, "cmdline") and job != "ps":
            continue
        rank = b"OMPI_COMM_WORLD_RANK=" + ranks.get(victim, b"-")
        if any(each.startswith(b"OMPI_COMM_WORLD_RANK=") for each in environ):
            if rank in environ:
                return pid
        elif any(
            b'"task": {"type": "%s", "index": %s}' % (job.encode(), index.encode()) in each
            for each in environ
        ):
            if job != "ps" or b"\0ps\0" in _read(pid, "cmdline"):
                return pid
    return None


def _word(pid: int, index: int) -> bytes:
    return _read(pid, "cmdline").split(b"\0")[index]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def end_well(folder: Path, strategy: str) -> float:
    """One run that nothing happens to; returns the seconds from the chief's last line to the last process's end.

    Raises:
        AssertionError: it did not end well, or left a process, a port, shared memory or a temporary file.
    """
    folder.mkdir()
    file = config(folder, strategy, evaluator=True)
    shared = set(os.listdir(_SHARED_MEMORY))
    launch = Launch("--tee", "--log-dir", folder / "logs", file, PROGRAM, 10, "none", 0, folder)
    launch.until("TRAINING", 2)
    ports = set().union(*listening(job_pids(launch.job)).values())
    launch.until("\nENDED WELL")
    launch.begin = time.monotonic()
    ended = launch.ended()
    assert ended.code == 0, ended.output
    assert ended.output.count("ENDED WELL") == 2, ended.output
    assert "ckpt-10: " in ended.output, ended.output
    assert "killed" not in ended.output, ended.output
    assert not ended.survivors
    assert ports, "somebody listens while it trains"
    assert not ports & listening_now()
    assert not _unused(set(os.listdir(_SHARED_MEMORY)) - shared)
    return ended.seconds


def _unused(names: set[str]) -> set[str]:
    """Shared memory that no process has: other jobs of this machine come and go too."""
    for pid in filter(str.isdigit, os.listdir("/proc")) if names else ():
        maps = _read(int(pid), "maps").decode(errors="replace")
        names = {name for name in names if f"{_SHARED_MEMORY}/{name}" not in maps}
    return {name for name in names if Path(_SHARED_MEMORY, name).exists()}
