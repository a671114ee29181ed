"""Clusters on this machine, of real processes: their ends, good and bad, and what is left of them: nothing."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.launch import PROGRAM, SAVES, Launch, check_comeback, config
from helpers.mpi import ENVIRONMENTS, PROGRAMS, job_pids, mpirun
from helpers.ports import everywhere

from distrib.io.checkpoint_folder import read_manifest, write_checkpoint

pytestmark = pytest.mark.timeout(90)
SLOWER_S = 1.5  # on a machine with other things to do
STRATEGIES = ["ps-sync", "ps-async", "mirrored", "central_storage"]


def result(folder):
    return json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_all_roles_end_well(tmp_path, strategy):
    file = config(tmp_path, strategy, evaluator=True)
    launch = Launch("--tee", "--log-dir", tmp_path / "logs", file, PROGRAM, 3, "none", 0, tmp_path)
    launch.until("\nloss ")
    launch.begin = time.monotonic()
    ended = launch.ended()
    assert ended.code == 0, ended.output
    assert ended.seconds < 2 + SLOWER_S, ended.output
    assert not ended.survivors
    assert re.search(r"\[evaluator 0\] ckpt-3: val_loss: ", ended.output), "it has evaluated the last one"
    assert "\nENDED WELL" in ended.output
    assert "[worker 0] ENDED WELL" in ended.output
    assert "killed" not in ended.output
    assert "distrib-end" not in ended.output
    names = {"chief-0.log", "worker-0.log", "evaluator-0.log", "result.json"}
    names |= {"ps-0.log", "ps-1.log"} if strategy.startswith("ps") else {"mpirun.log"}
    assert {path.name for path in (tmp_path / "logs").iterdir()} == names
    assert (tmp_path / "logs" / "worker-0.log").read_text().splitlines()[0] == "I am worker 0"
    outcome = result(tmp_path / "logs")
    assert outcome["code"] == 0
    ran = {name.removesuffix(".log").replace("-", " ") for name in names - {"result.json"}}
    assert outcome["tasks"] == dict.fromkeys(ran, 0)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "logs").iterdir())
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("strategy", "fault", "victim", "code", "cause"),
    [
        (
            "mirrored",
            "raise",
            1,
            70,
            "worker 0 on .* failed with exit code 70: ValueError: a bug of the user",
        ),
        ("mirrored", "kill", 0, 75, r"chief 0 on .* is lost: rank 0 .* died: killed by signal 9 \(SIGKILL"),
        ("mirrored", "exit7", 1, 7, r"worker 0 on .* failed with exit code 7: sys.exit\(7\)"),
        ("mirrored", "exit0", 1, 75, "worker 0 on .* is lost: .* exited with code 0 without a word"),
        ("mirrored", "stop", 1, 75, "worker 0 on .* is lost: .* is frozen"),
        ("ps-sync", "raise", 0, 70, "chief 0 on localhost failed with exit code 70: ValueError: a bug"),
        ("ps-sync", "exit0", 0, 75, "chief 0 on localhost ended with 0, but too early"),
    ],
)
def test_the_cause_is_told_last_and_is_the_exit_code(tmp_path, strategy, fault, victim, code, cause):
    file = config(tmp_path, strategy)
    launch = Launch("--tee", "--log-dir", tmp_path / "logs", file, PROGRAM, 50, fault, victim)
    launch.until("FAULT FIRED")
    launch.begin = time.monotonic()
    ended = launch.ended()
    assert ended.code == code, ended.output
    assert not ended.survivors
    assert ended.seconds < 8, ended.output
    assert re.search(cause + r".*Its log: \S+/logs/\w+-0.log$", ended.output.splitlines()[-1]), ended.output
    assert re.search(cause, result(tmp_path / "logs")["causes"][-1])


def test_what_was_not_shown_is_shown_at_the_end(tmp_path):
    ended = Launch("-n", 2, "--log-dir", tmp_path, PROGRAM, 50, "raise", 1, python=mpich()).ended()
    assert ended.code == 70
    assert "I am worker" not in ended.output.partition("    | ")[0]
    assert "    | ValueError: a bug of the user" in ended.output
    trace = ended.output.partition("Traceback")[2]
    assert "runpy" not in trace, "the traceback begins at the script"


def mpich():
    folder = ENVIRONMENTS["mpich"]
    return folder / "bin" / "python" if (folder / "bin" / "mpirun").exists() else sys.executable


@pytest.mark.parametrize("fault", ["raise", "exit0"])
def test_a_lost_worker_around_parameter_servers_is_told_and_done_without(tmp_path, fault):
    launch = Launch("--log-dir", tmp_path / "logs", config(tmp_path, "ps-sync"), PROGRAM, 20, fault, 1)
    ended = launch.ended()
    assert ended.code == 0, ended.output
    assert "FAULT FIRED" in ended.output
    assert "The others go on without worker 0" in ended.output
    assert "ENDED WELL" in ended.output


def test_a_lost_worker_is_started_again_alone(tmp_path):
    file = config(tmp_path, "ps-sync")
    launch = Launch(
        "--tee", "--max-restarts", 1, "--log-dir", tmp_path / "logs", file, PROGRAM, 60, "none", 0
    )
    launch.until("[worker 0] TRAINING")
    os.kill(launch.task("worker 0"), signal.SIGKILL)
    launch.until("worker 0 is started again")
    launch.until("I am worker 0", 2)
    ended = launch.ended()
    assert ended.code == 0, ended.output
    assert ended.output.count("I am chief 0") == 1


def started_twice(launch, logs):
    """The end of a launch with two restarts, of which it needs one."""
    ended = launch.ended()
    assert ended.code == 0, ended.output
    assert ended.output.count("FAULT FIRED") >= 1
    assert re.search(r"All tasks start again in [01] s; restarts left: 1\.", ended.output), (
        "at once after 5 s"
    )
    assert result(logs)["starts"] == 2
    assert "--- start 2 ---" in (logs / "worker-0.log").read_text()
    return ended


def test_a_chief_that_is_killed_leads_to_another_start(tmp_path):
    file, logs = config(tmp_path, "ps-sync"), tmp_path / "logs"
    ended = started_twice(Launch("--max-restarts", 2, "--log-dir", logs, file, PROGRAM, 30, "kill", 0), logs)
    assert ended.output.count("I am chief 0") == 2


def test_a_run_whose_rank_is_killed_ends_with_the_same_bytes(tmp_path):
    """Two ranks, with Dropout; it goes on from the backup of the step before."""
    whole = mpirun("openmpi", 2, "resume.py", tmp_path / "a", tmp_path / "whole")
    assert whole.code == 0, whole.output
    command = ("-n", 2, PROGRAMS / "resume.py", tmp_path / "b", tmp_path / "resumed")
    flags = ("--tee", "--max-restarts", 2, "--log-dir", tmp_path / "logs")
    started_twice(Launch(*flags, *command, KILL_AT="27"), tmp_path / "logs")
    assert (tmp_path / "resumed").read_text() == (tmp_path / "whole").read_text()


@pytest.fixture
def little_memory():
    """A group of processes that may have 64 MiB; None where there can be none."""
    group = Path("/sys/fs/cgroup/memory") / f"distrib-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(64 << 20))
    except OSError:
        yield None
        return
    yield group
    group.rmdir()


def test_a14_a_rank_that_is_killed_again_and_again_is_given_up(tmp_path, little_memory):
    """By the kernel for want of memory, where this machine allows to bring that about."""
    file = config(tmp_path, "mirrored")
    flags = ("--tee", "--max-restarts", 9, "--log-dir", tmp_path / "logs")
    fault = "kill always" if little_memory is None else "oom always"
    ended = Launch(*flags, file, PROGRAM, 30, fault, 1, OOM_GROUP=str(little_memory)).ended()
    if little_memory is not None:
        assert "oom_kill 3" in (little_memory / "memory.oom_control").read_text()
    assert ended.code == 69, ended.output
    assert ended.output.count("worker 0] FAULT FIRED") == 3, "once in each start"
    assert "worker 0 was killed 3 times in a row: does its host have enough memory?" in ended.output
    last = ended.output.splitlines()[-1]
    assert re.search(r"worker 0 on .* killed by signal 9 \(SIGKILL, possibly out of memory\)", last), last
    assert not ended.survivors


def test_c8_a_lost_ps_that_saves_comes_back_while_the_workers_wait(tmp_path):
    file = config(tmp_path, "ps-sync", launch=SAVES.format(tmp_path))
    logs = ("--log-dir", tmp_path / "logs")
    launch = Launch("--tee", "--max-restarts", 2, *logs, file, PROGRAM, 12, "none", 0)
    launch.until("TRAINING", 2)
    os.kill(launch.task("ps 1"), signal.SIGKILL)
    launch.begin = time.monotonic()
    launch.until("restored from", 2)
    assert time.monotonic() - launch.begin < 4 + 3 * SLOWER_S, "after the start of another Python"
    assert "loss" not in launch.seen, "the fault came too late"
    check_comeback(launch.ended(), 12, "ps 1 on localhost")
    assert result(tmp_path / "logs")["starts"] == 1


def test_a_ps_that_has_saved_nothing_yet_comes_back_and_begins_anew(tmp_path):
    """What another run has saved there is not taken for its own. A worker is there, the chief is not."""
    other = {"sequencer": {"version": 9}, "description": {"size": 15, "dtype": "float32"}, "run": "x.1"}
    write_checkpoint(tmp_path / "kept" / "ps-9", {"model.safetensors": {"values": np.ones(15)}}, other)
    file = config(tmp_path, "ps-sync", launch=SAVES.format(tmp_path))
    logs = ("--log-dir", tmp_path / "logs")
    launch = Launch("--tee", "--max-restarts", 2, *logs, file, PROGRAM, 3, "late", 0, tmp_path)
    launch.until("LATE")
    os.kill(launch.task("ps 1"), signal.SIGKILL)
    launch.until("restarts left: 1")
    (tmp_path / "go").touch()
    ended = launch.ended()
    check_comeback(ended, 3, "ps 1 on localhost")
    assert "This run has saved nothing" in ended.output
    assert "restored from" not in ended.output


def test_a_bug_is_not_started_again(tmp_path):
    launch = Launch(
        "--max-restarts",
        3,
        "-n",
        1,
        "--log-dir",
        tmp_path,
        "-m",
        "tests.launch.programs.train",
        30,
        "raise",
        0,
    )
    ended = launch.ended()
    assert ended.code == 70
    assert ended.output.count("I am chief 0") == 1


@pytest.mark.parametrize("victim", ["ps 0", "ps 1"])
def test_without_a_ps_everything_ends(tmp_path, victim):
    file = config(tmp_path, "ps-sync", evaluator=True)
    launch = Launch("--log-dir", tmp_path / "logs", file, PROGRAM, 500, "none", 0, tmp_path)
    launch.until("TRAINING")
    launch.begin = time.monotonic()
    os.kill(launch.task(victim), signal.SIGKILL) if victim == "ps 0" else os.kill(
        launch.task(victim), signal.SIGTERM
    )
    ended = launch.ended()
    assert ended.code == 75, ended.output
    assert ended.seconds < (6 if victim == "ps 0" else 11), "a ps serves on for 5 s after SIGTERM"
    assert not ended.survivors
    words = (
        "was killed by signal 9" if victim == "ps 0" else "failed with exit code 75: SIGTERM has ended the ps"
    )
    assert f"{victim} on localhost {words}" in ended.output.splitlines()[-1]


EVALUATED = """
import json, os, sys, time
import numpy as np
import distrib
how, folder = sys.argv[1:]
task = json.loads(os.environ["TF_CONFIG"])["task"]["type"]

class Slow(distrib.callbacks.TensorBoard):  # such callbacks are called by the evaluator
    def on_test_begin(self, logs=None):
        if how == "is slow" and task == "evaluator":
            time.sleep(0.25)

if task == "evaluator":
    print("FAULT FIRED", flush=True)
    if how == "dies":
        os.kill(os.getpid(), 9)
    while how == "never starts":
        time.sleep(0.1)
distrib.set_random_seed(2)
with distrib.strategy_from_cluster().scope():
    model = distrib.Sequential([distrib.layers.Dense(3, input_shape=(4,))], dtype="float64")
    model.compile("sgd", "mse")
x = np.random.default_rng(0).normal(size=(64, 4))
saving = distrib.callbacks.ModelCheckpoint(folder + "/ckpt-{epoch}")
history = model.fit(
    x, x[:, :3], batch_size=8, epochs=6, verbose=0, validation_data=(x, x[:, :3]),
    callbacks=[saving, Slow(folder + "/board")],
)
if model.strategy.is_chief:
    print("losses", *history.history["loss"], flush=True)
"""


@pytest.fixture(scope="module")
def evaluated_alone(tmp_path_factory):
    """The losses of the same script in one process, without an evaluator."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "train.py").write_text(EVALUATED)
    ended = subprocess.run(
        [sys.executable, folder / "train.py", "is alone", folder],
        env={**os.environ, "TF_CONFIG": '{"task": {"type": "chief"}}'},
        capture_output=True,
        text=True,
        timeout=30,
    )
    return losses_in(ended.stdout)


def losses_in(output):
    return [float(word) for word in re.search("losses (.*)", output)[1].split()]


@pytest.mark.parametrize("how", ["dies", "is slow", "never starts"])
def test_d12_training_is_not_affected_by_an_evaluator_that(tmp_path, evaluated_alone, how):
    script = tmp_path / "train.py"
    script.write_text(EVALUATED)
    flags = (
        "--tee",
        "--evaluator-timeout",
        1 if how == "never starts" else 20,
        "--log-dir",
        tmp_path / "logs",
    )
    file = config(tmp_path, "mirrored", evaluator=True)
    ended = Launch(*flags, file, script, how, tmp_path / "run").ended()
    assert ended.code == 0, ended.output
    assert not ended.survivors
    assert "[evaluator 0] FAULT FIRED" in ended.output
    assert losses_in(ended.output) == pytest.approx(evaluated_alone, rel=1e-9)
    if how == "is slow":
        last = ended.output.index("ckpt-6: ")
        assert ended.output.index("losses ") < ended.output.index("ckpt-4: ") < last, "training has waited"
    assert len(list((tmp_path / "run").glob("ckpt-*"))) == 6
    done = [f"ckpt-{number}: " in ended.output for number in range(1, 7)]
    assert done == [how == "is slow"] * 6
    words = {
        "dies": "Training goes on without the evaluator.",
        "is slow": "ckpt-6: ",
        "never starts": "The evaluator did not end within 1 s of the chief, and is killed.",
    }
    assert words[how] in ended.output


def test_a_chief_may_go_on_after_its_parameter_servers(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "import time, distrib, numpy as np\n"
        "strategy = distrib.strategy_from_cluster()\n"
        "with strategy.scope():\n"
        "    model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(2,))])\n"
        "    model.compile('sgd', 'mse')\n"
        "model.fit(np.ones((8, 2)), np.ones((8, 1)), batch_size=4, verbose=0)\n"
        "strategy.close()\n"
        "time.sleep(2.5)\n"
        "print('EVALUATED ALONE')\n"
    )
    launch = Launch("--tee", "--log-dir", tmp_path / "logs", config(tmp_path, "ps-sync"), script)
    launch.until("EVALUATED ALONE")
    ended = launch.ended()
    assert ended.code == 0, ended.output
    assert not ended.survivors


def check_listeners(launch, strategy):
    """S5: nobody but MPI listens on all addresses; its ranks and mpirun do (SECURITY.md)."""
    found = everywhere(job_pids(launch.job))
    mpi = {
        pid: line
        for pid, line in found.items()
        if re.search(r"mpirun|prte|distrib\.launch\.task\.entrypoint", line)
    }
    assert (found, bool(mpi)) == (mpi, strategy == "mirrored"), found


@pytest.mark.parametrize(
    ("strategy", "number"),
    [("ps-sync", signal.SIGTERM), ("ps-async", signal.SIGINT), ("mirrored", signal.SIGTERM)],
)
def test_a12_everybody_saves_and_ends(tmp_path, strategy, number):
    file = config(tmp_path, strategy, evaluator=True)
    launch = Launch("--tee", "--log-dir", tmp_path / "logs", file, PROGRAM, 5000, "none", 0, tmp_path)
    launch.until("TRAINING", 2)
    launch.until("[evaluator 0] EVALUATING")
    check_listeners(launch, strategy)
    environ = Path(f"/proc/{launch.task('evaluator 0')}/environ").read_bytes()
    assert b"DISTRIB_TOKEN_FILE" not in environ, "it needs none"
    launch.signal(number)
    ended = launch.ended()
    assert ended.code == 0, ended.output
    for task in ("chief-0", "worker-0"):
        log = (tmp_path / "logs" / f"{task}.log").read_text()
        # Around parameter servers a worker may hear first that its chief has ended the job.
        heard_first = strategy != "mirrored" and task != "chief-0" and "ENDED WELL" in log
        assert log.count("SAVED AND ENDED") == 1 or heard_first, log
        if task == "chief-0" or strategy == "mirrored":  # others end with the chief, wherever they are
            assert log.count("ENDED WELL") == 1, log
    assert "[evaluator 0] THE EVALUATOR ENDS" in ended.output
    assert "evaluator 0 on" not in ended.output, "it has not failed"
    outcome = result(tmp_path / "logs")
    assert (outcome["code"], outcome["signal"], outcome["causes"]) == (0, number, []), "the marker"
    assert f"{number.name}: all tasks have come to their end" in ended.output
    assert not ended.survivors
    assert ended.seconds < 8


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("strategy", ["ps-sync", "mirrored"])
def test_a_preempted_run_saves_ends_with_75_and_goes_on(tmp_path, strategy):
    file, folder = config(tmp_path, strategy), tmp_path / "run"
    command = ("examples/train_images.py", "--checkpoint-dir", folder, "--epochs")
    named = ("--strategy", strategy)  # that of the flag uses the cluster's tasks, and starts none of its own
    launch = Launch("--log-dir", tmp_path / "first", file, *command, 4000, *named)
    launch.until("Epoch 5/")
    servers = [pid for pid in job_pids(launch.job) if b"\0distrib\0ps\0" in command_line(pid)]
    assert len(servers) == (0 if strategy == "mirrored" else 2)
    launch.signal(signal.SIGTERM)
    ended = launch.ended()
    assert ended.code == 75, ended.output
    assert "all tasks have saved and ended" in ended.output
    assert ended.seconds < 10
    (saved,) = (folder / "backup").glob("*-*")
    epoch = read_manifest(saved)["progress"]["epoch"]
    if strategy == "ps-sync":
        file, named = config(tmp_path, "ps-async"), ("--strategy", "ps-async")
    out = ("--json", tmp_path / "out.json")
    again = Launch("--log-dir", tmp_path / "second", file, *command, epoch + 2, *named, *out).ended()
    assert again.code == 0, again.output
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["num_replicas"] == 2
    assert ("pushed" in figures) == (strategy == "ps-sync")
    assert f"Epoch {epoch}/" not in again.output
    assert f"Epoch {epoch + 1}/{epoch + 2}" in again.output


def test_usr1_saves_and_goes_on(tmp_path, mpi_name):
    python = ENVIRONMENTS[mpi_name] / "bin" / "python"
    launch = Launch("-n", 2, "--tee", "--log-dir", tmp_path, PROGRAM, 60, "none", 0, python=python)
    launch.until("TRAINING", 2)
    launch.signal(signal.SIGUSR1)
    ended = launch.ended()
    assert ended.code == 0, ended.output
    assert ended.output.count("SAVED") == 2


def test_those_that_do_not_hear_are_killed_after_the_grace(tmp_path):
    launch = Launch(
        "-H", "localhost:2", "--grace", 1, "--log-dir", tmp_path, PROGRAM, 50, "stop", 0, python=mpich()
    )
    launch.until("FAULT FIRED")
    launch.signal(signal.SIGTERM)
    ended = launch.ended()
    assert ended.code == 128 + signal.SIGTERM, ended.output
    assert ended.seconds < 8
    assert not ended.survivors


@pytest.mark.parametrize("strategy", ["mirrored", "ps-sync"])
def test_a11_nothing_outlives_a_launcher_that_is_killed(tmp_path, strategy):
    file = config(tmp_path, strategy, evaluator=True)
    launch = Launch("--tee", "--log-dir", tmp_path / "logs", file, PROGRAM, 5000, "none", 0, tmp_path)
    launch.until("I am", 3)
    assert len(job_pids(launch.job)) >= 6
    launch.signal(signal.SIGKILL)
    ended = launch.ended()
    assert ended.code == -signal.SIGKILL
    assert not ended.survivors, "alive 3 s later"


def test_mpirun_that_is_killed_takes_all_ranks_along(tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("localhost slots=2\n")
    launch = Launch("--hostfile", hosts, "--tee", "--log-dir", tmp_path, PROGRAM, 5000, "none", 0)
    launch.until("TRAINING", 2)
    (victim,) = [
        pid
        for pid in job_pids(launch.job)
        if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].endswith((b"mpirun", b"prterun"))
    ]
    launch.begin = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    ended = launch.ended()
    assert ended.code == 75, ended.output
    assert "mpirun on localhost was killed by signal 9" in ended.output
    assert not ended.survivors
    assert ended.seconds < 8


def test_secrets_are_nowhere_to_be_seen(tmp_path):
    """The token is in the files only that its owner can read; command lines, environment and logs do not have it."""
    file = config(tmp_path, "ps-sync")
    launch = Launch("--tee", "--log-dir", tmp_path / "logs", file, PROGRAM, 60, "none", 0, DISTRIB_DEBUG="1")
    launch.until("I am", 2)
    environ = Path(f"/proc/{launch.task('worker 0')}/environ").read_text().split("\0")
    path = Path(next(each for each in environ if each.startswith("DISTRIB_TOKEN_FILE=")).partition("=")[2])
    token = path.read_text()
    assert re.fullmatch("[0-9a-f]{64}", token)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    seen = ""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("cmdline", "environ"):
            try:
                seen += Path(f"/proc/{pid}/{name}").read_text(errors="replace")
            except OSError:
                pass
    assert token not in seen
    ended = launch.ended()
    assert ended.code == 0, ended.output
    assert token not in ended.output
    assert all(token not in log.read_text() for log in (tmp_path / "logs").iterdir())
    assert not path.exists()
