"""The README's exit codes, for every way to start a training."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from helpers.launch import CLUSTERS
from helpers.mpi import ROOT, available, on_ranks

from distrib.io.checkpoint_folder import read_manifest

PROGRAM = ROOT / "tests" / "launch" / "programs" / "ends.py"

# What a cause is called, and the exit codes: of plain Python, of a task that TF_CONFIG describes, of mpirun, of the
# launcher. A rank or a task that only lost another ends with 75.
CODES = {
    "none": (0, 0, 0, 0),
    "config": (64, 64, 64, 64),
    "data": (65, 65, 65, 65),
    "raise": (1, 70, 70, 70),
    "nan": (70, 70, 70, 70),
    "storage": (74, 74, 74, 74),
    "exit 3": (3, 3, 3, 3),
    "killed": (-9, -9, None, 75),
    "SIGTERM": (75, 75, 75, 75),
    "SIGINT": (-2, -2, 130, 130),
}
PLAIN, TASK, MPIRUN, LAUNCHER = range(4)
EVERYBODYS = ("config", "data", "nan", "storage")  # what every rank and task finds by itself
SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}


def start(command, **environ):
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TF_CONFIG", "DISTRIB_"))
    }
    kept |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        list(map(str, command)),
        env={**kept, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def script(cause, folder):
    return [PROGRAM, "wait" if cause in SIGNALS else cause, folder]


def see_to_the_end(processes, cause, folder, replicas, signalled):
    """Exit code and output of each process; `signalled` get the signal that is the cause, when all train."""
    try:
        if cause in SIGNALS:
            deadline = time.monotonic() + 30
            while len(list(folder.glob("trains-*"))) < replicas:
                assert time.monotonic() < deadline, "it does not train"
                assert processes[0].poll() is None, processes[0].communicate()[0]
                time.sleep(0.02)
            for process in signalled:
                process.send_signal(SIGNALS[cause])
        outputs = [process.communicate(timeout=40)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()
    return [process.returncode for process in processes], "\n".join(outputs)


def has_saved(folder):
    """Whether there is a backup besides the one that is written at the beginning."""
    (backup,) = (folder / "backup").glob("*-*")
    progress = read_manifest(backup)["progress"]
    return (progress["epoch"], progress["step"]) != (0, 0)


@pytest.mark.parametrize("cause", CODES)
def test_plain_python(tmp_path, cause):
    process = start([sys.executable, *script(cause, tmp_path)])
    codes, output = see_to_the_end([process], cause, tmp_path, 1, [process])
    assert codes == [CODES[cause][PLAIN]], output
    assert ("END OF SCRIPT" in output) == (cause == "none")


@pytest.mark.parametrize("cause", CODES)
def test_tasks_that_tf_config_describes(tmp_path, cause):
    """A chief, a worker and a ps, which nobody else watches."""
    ps = start([sys.executable, "-m", "distrib", "ps", "--chief-timeout", 2, "--address", "127.0.0.1:0"])
    address = ps.stdout.readline().split()[-1]
    cluster = {"chief": ["localhost:0"], "worker": ["localhost:0"], "ps": [address]}

    def task(kind):
        config = json.dumps({"cluster": cluster, "task": {"type": kind, "index": 0}})
        return start([sys.executable, *script(cause, tmp_path)], TF_CONFIG=config)

    chief, worker = task("chief"), task("worker")
    codes, output = see_to_the_end([chief, worker, ps], cause, tmp_path, 2, [chief, worker, ps])
    of_chief, of_worker, of_ps = codes
    code = CODES[cause][TASK]
    if cause == "killed":  # the worker: the others go on without it, and come to the end
        assert codes == [0, -9, 0], output
        return
    assert of_chief == code, output
    if cause in EVERYBODYS:
        # A worker that comes when the chief has ended the job hears that before it finds the fault itself.
        assert of_worker in (code, 75), output
    else:
        # Of tasks that got the same signal, one may hear first that the job has ended.
        assert of_worker in {"none": (0,), "SIGINT": (-2, 75)}.get(cause, (75,)), output
    # A ps that is ending because the chief has may be interrupted once more.
    assert of_ps in {"none": (0,), "SIGINT": (130, 75, -2)}.get(cause, (75,)), output


@pytest.mark.parametrize("cause", CODES)
@pytest.mark.parametrize("mpi", available())
def test_mpirun(tmp_path, mpi, cause):
    process = start([*on_ranks(mpi, 2), *script(cause, tmp_path)])
    codes, output = see_to_the_end([process], cause, tmp_path, 2, [process])
    # What mpirun makes of the codes of several ranks is its own. Open MPI's takes that of the first, and says 1 where
    # a signal ended it. MPICH's kills the other ranks at the first that fails, and combines the bits of all codes.
    expected = [CODES[cause][MPIRUN]]
    if mpi == "openmpi":
        expected = {"killed": [137], "SIGTERM": [1], "SIGINT": [1]}.get(cause, expected)
    elif cause not in ("none", "SIGTERM"):
        expected = [expected[0], 9, 75, (expected[0] or 0) | 75]
    assert codes[0] in expected, output
    assert cause != "SIGTERM" or has_saved(tmp_path), "it saves all the same"


@pytest.mark.parametrize(
    ("strategy", "cause"),
    [
        *[(strategy, cause) for strategy in ("mirrored", "ps-sync") for cause in CODES],
        *[
            (strategy, cause)
            for strategy in ("central_storage", "ps-async")
            for cause in ("raise", "SIGTERM")
        ],
    ],
)
def test_launch(tmp_path, strategy, cause):
    tasks = CLUSTERS["ps" if strategy.startswith("ps-") else "ranks"]
    (tmp_path / "cluster.toml").write_text(f'[cluster]\n{tasks}\n[launch]\nstrategy = "{strategy}"\n')
    command = [
        sys.executable,
        "-m",
        "distrib",
        "launch",
        "--log-dir",
        tmp_path / "logs",
        tmp_path / "cluster.toml",
    ]
    process = start([*command, *script(cause, tmp_path)])
    codes, output = see_to_the_end([process], cause, tmp_path, 2, [process])
    if cause == "killed" and strategy == "ps-sync":
        assert codes == [0], output  # a worker: the others go on without it
    else:
        assert codes == [CODES[cause][LAUNCHER]], output
    assert json.loads((tmp_path / "logs" / "result.json").read_text())["code"] == codes[0]
