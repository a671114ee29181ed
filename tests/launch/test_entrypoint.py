"""What a script finds when it is started: its arguments whole, nothing to read, and itself as the role it has."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest
from helpers.launch import Launch, config
from helpers.mpi import ENVIRONMENTS, ROOT, available

AWKWARD = [
    "a",
    ":",
    "-n",
    "1",
    "touch",
    "FILE",
    ":",
    "",
    " ",
    "a b",
    "'",
    '"',
    "\\",
    "$HOME",
    "*",
    "-x",
    "--",
    "\n",
    "é",
]
BYTES = b"\xff:\xfe"

TELLS = """
import json, os, sys
task = json.loads(os.environ["TF_CONFIG"])["task"]
words = [os.fsencode(word).decode("latin-1") for word in sys.argv[1:]]
print("GIVEN", json.dumps([task["type"], words, sys.stdin.read()]))
"""


@pytest.mark.parametrize(
    ("strategy", "mpi"), [*[("mirrored", mpi) for mpi in available()], ("ps-sync", "openmpi")], ids=str
)
def test_every_argument_arrives_whole_and_there_is_nothing_to_read(tmp_path, strategy, mpi):
    script = tmp_path / "script.py"
    script.write_text(TELLS)
    arguments = [*AWKWARD, os.fsdecode(BYTES)]
    python = ENVIRONMENTS[mpi] / "bin" / "python"
    file, logs = config(tmp_path, strategy), tmp_path / "logs"
    job = Launch("--tee", "--log-dir", logs, file, script, *arguments, python=python)
    if strategy == "ps-sync":  # nobody ends the ps
        job.until("GIVEN", 2)
        job.process.terminate()
    ended = job.ended()
    assert strategy == "ps-sync" or ended.code == 0, ended.output
    expected = [os.fsencode(word).decode("latin-1") for word in arguments]
    for role in ("chief", "worker"):
        given = (logs / f"{role}-0.log").read_text().partition("GIVEN ")[2].splitlines()[0]
        assert json.loads(given) == [role, expected, ""]
    assert not (ROOT / "FILE").exists()


TRAINS = """
import sys
import numpy as np
import distrib
strategy = distrib.strategy_from_cluster()
print("MADE")
with strategy.scope():
    model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(3,))])
    model.compile("sgd", "mse")
model.fit(np.ones((40, 3)), np.zeros((40, 1)), batch_size=4, epochs=2, verbose=0)
print("END")
if sys.argv[1:]:
    raise RuntimeError("a bug of the user")
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("as_command", [False, True])
def test_a_ps_of_tf_config_serves_at_its_address(tmp_path, as_command, fails):
    """Started with the script, or as `distrib ps` without an address."""
    script = tmp_path / "script.py"
    script.write_text(TRAINS)
    cluster = {"chief": ["localhost:0"], "worker": ["localhost:0"], "ps": [f"localhost:{free_port()}"]}
    flags = ["fails"] if fails else []
    processes = {}
    for role in ("ps", "worker", "chief"):
        command = [sys.executable, script, *flags]
        if role == "ps" and as_command:
            command = [sys.executable, "-m", "distrib", "ps"]
        environ = {
            **os.environ,
            "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": role, "index": 0}}),
        }
        processes[role] = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    outputs = {role: process.communicate(timeout=40)[0] for role, process in processes.items()}
    codes = {role: process.returncode for role, process in processes.items()}
    assert codes == {"ps": 75 if fails else 0, "worker": 70 if fails else 0, "chief": 70 if fails else 0}, (
        outputs
    )
    assert "END" in outputs["chief"]
    assert "MADE" not in outputs["ps"], "the script goes no further there"
    assert cluster["ps"][0] in outputs["ps"]


LOCAL = """
import os, sys, time
import numpy as np
import distrib
how = sys.argv[1] if len(sys.argv) > 1 else ""
if os.environ.get("TF_CONFIG"):
    if how in ("fails", "may fail"):
        sys.exit(5)
    if how == "reads":
        assert sys.stdin.read() == ""
with distrib.local_cluster(2, allow_missing_workers=how == "may fail"):
    if how == "fails":
        time.sleep(1.0)  # the worker ends before the chief asks for anything
    strategy = distrib.ParameterServerStrategy(start_timeout_s=2.0 if how == "may fail" else 60.0)
    with strategy.scope():
        model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(3,))])
        model.compile("sgd", "mse")
    model.fit(np.ones((40, 3)), np.zeros((40, 1)), batch_size=4, epochs=2, verbose=0)
    print("TRAINED")
"""


def local(tmp_path, how):
    script = tmp_path / "script.py"
    script.write_text(LOCAL)
    begin = time.monotonic()
    environ = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    ended = subprocess.run(
        [sys.executable, script, how],
        input="typed by a person\n",
        capture_output=True,
        text=True,
        timeout=50,
        env=environ,
    )
    return ended, time.monotonic() - begin


def test_a_worker_of_a_local_cluster_has_nothing_to_read(tmp_path):
    ended, _ = local(tmp_path, "reads")
    assert (ended.returncode, ended.stdout) == (0, "TRAINED\n"), ended.stderr


def test_a_worker_of_a_local_cluster_that_ends_early_is_named_at_once(tmp_path):
    ended, seconds = local(tmp_path, "fails")
    assert ended.returncode == 75
    assert "TRAINED" not in ended.stdout
    assert "worker 1 (pid" in ended.stderr
    assert "has ended with 5 before the training has begun" in ended.stderr.splitlines()[-1]
    assert seconds < 10


def test_a_local_cluster_may_train_without_a_worker(tmp_path):
    ended, seconds = local(tmp_path, "may fail")
    assert (ended.returncode, ended.stdout) == (0, "TRAINED\n"), ended.stderr
    assert "has ended with 5. The others go on without it" in ended.stderr
    assert seconds < 15


@pytest.mark.parametrize("flags", [["-"], ["-i"], []])
def test_a_local_cluster_without_a_script_is_refused(tmp_path, flags):
    """From standard input, and typed into an interpreter."""
    program = "import distrib\nwith distrib.local_cluster(2): print('IN')\n\nprint('NEXT')\n"
    environ = {**os.environ, "HOME": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, *flags], input=program, capture_output=True, text=True, timeout=30, env=environ
    )
    assert "local_cluster expects to be called in a script" in ended.stderr
    assert "IN" not in ended.stdout.split()
    assert ended.returncode == (0 if "-i" in flags else 64)


def test_a_local_cluster_whose_only_worker_is_here_needs_no_script():
    """As when the program of the README is pasted into an interpreter."""
    program = "import distrib\nwith distrib.local_cluster(1, num_ps=1): print('IN')\n\n"
    ended = subprocess.run([sys.executable, "-i"], input=program, capture_output=True, text=True, timeout=40)
    assert "IN" in ended.stdout.split(), ended.stderr


NO_ROOM = """
import os, resource
import numpy as np
import distrib

class Full(distrib.callbacks.Callback):
    def on_train_end(self, logs=None):
        there = len(os.listdir("/proc/self/fd")) - 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (there, there))
        try:
            os.open("/dev/null", os.O_RDONLY)
        except OSError as error:
            print("FULL", error, flush=True)

strategy = distrib.ParameterServerStrategy(share_memory=False)
with strategy.scope():
    model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(3,))])
    model.compile("sgd", "mse")
model.fit(np.ones((40, 3)), np.zeros((40, 1)), batch_size=4, epochs=2, verbose=0, callbacks=[Full()])
"""


def test_a_job_ends_well_where_there_is_no_room_for_one_more_connection(tmp_path):
    """The chief says so over the one that it has."""
    (tmp_path / "script.py").write_text(NO_ROOM)
    ps = subprocess.Popen(
        [sys.executable, "-m", "distrib", "ps", "--chief-timeout", "5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    cluster = {"chief": ["localhost:0"], "ps": [ps.stdout.readline().split()[-1]]}
    config = json.dumps({"cluster": cluster, "task": {"type": "chief", "index": 0}})
    chief = subprocess.run(
        [sys.executable, tmp_path / "script.py"],
        env={**os.environ, "TF_CONFIG": config},
        capture_output=True,
        text=True,
        timeout=40,
    )
    output, _ = ps.communicate(timeout=20)
    assert chief.returncode == 0, chief.stderr
    assert "FULL [Errno 24]" in chief.stdout
    assert ps.returncode == 0, output
