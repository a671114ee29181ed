"""Real processes: the example with local workers and parameter servers, its end, and killed workers."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from helpers.mpi import ROOT

from distrib.launch import local_cluster

EXAMPLE = [sys.executable, str(ROOT / "examples" / "train_images.py")]
pytestmark = pytest.mark.timeout(90)
MARKER = f"DISTRIB_TEST_MARKER=ps-{os.getpid()}"  # another run of the tests may be at work


def processes_of(marker):
    """Pids of the processes whose environment holds the marker."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if marker.encode() in file.read():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def start(*arguments, marker=MARKER):
    name, _, value = marker.partition("=")
    return subprocess.Popen(
        [*EXAMPLE, *map(str, arguments)],
        env={**os.environ, name: value},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process, marker=MARKER):
    output, _ = process.communicate(timeout=80)
    deadline = time.monotonic() + 2
    while (left := processes_of(marker)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left, "processes are left 2 s after the end"
    if process.returncode == 0:
        assert not re.search(r"ps \d+ (ended with|did not end)", output), output
    return output


def test_a_ps_that_does_not_end_well_is_told_of(monkeypatch):
    monkeypatch.setattr(local_cluster, "_END_TIMEOUT_S", 1.0)
    commands = ("exit 0", "exit 3", "sleep 60")
    begin = time.monotonic()
    servers = [subprocess.Popen(["bash", "-c", each], stdout=subprocess.PIPE, text=True) for each in commands]
    assert local_cluster.end_processes([], servers) == [
        "ps 1 ended with 3.",
        "ps 2 did not end within 1 s of the chief, and was killed.",
    ]
    assert time.monotonic() - begin < 3
    assert [server.returncode for server in servers] == [0, 3, -signal.SIGKILL]


@pytest.mark.parametrize(
    "flags",
    [
        ["--strategy", "ps-sync", "--num-workers", 3, "--num-ps", 2],
        ["--strategy", "ps-sync", "--num-workers", 3, "--num-backup-workers", 1],
        ["--strategy", "ps-async", "--staleness-policy", "drop", "--max-staleness", 1],
        ["--strategy", "ps-async", "--staleness-policy", "scale", "--warmup-steps", 10, "--num-ps", 2],
    ],
    ids=lambda flags: " ".join(map(str, flags)),
)
def test_the_example_trains_and_every_role_ends(tmp_path, flags):
    file = tmp_path / "out.json"
    process = start(*flags, "--epochs", 8, "--learning-rate", 0.01, "--json", file)
    output = ended(process)
    assert process.returncode == 0, output
    result = json.loads(file.read_text())
    assert result["test_accuracy"] > 0.9
    assert result["pushed"] == result["applied"] + result["dropped"]
    histogram = {int(age): number for age, number in result["staleness_histogram"].items()}
    assert sum(histogram.values()) == result["applied"]
    mean = sum(age * number for age, number in histogram.items()) / result["applied"]
    assert result["staleness_mean"] == pytest.approx(mean)
    if "ps-sync" in flags:
        assert mean == 0
    if "drop" in flags:
        assert max(histogram) <= 1
    assert "Traceback" not in output


def test_sync_over_processes_trains_what_one_process_trains(tmp_path):
    results = []
    for flags in (["--strategy", "default"], ["--strategy", "ps-sync", "--num-workers", 3, "--num-ps", 2]):
        file = tmp_path / "out.json"
        process = start(*flags, "--epochs", 3, "--dtype", "float64", "--json", file)
        assert ended(process) is not None
        assert process.returncode == 0
        results.append(json.loads(file.read_text()))
    assert results[1]["train_loss"] == pytest.approx(results[0]["train_loss"], rel=1e-9)
    assert results[1]["test_loss"] == pytest.approx(results[0]["test_loss"], rel=1e-9)


@pytest.mark.parametrize("strategy", ["ps-sync", "ps-async"])
@pytest.mark.parametrize("fault", ["kill", "stop"])
def test_c1_a_lost_worker_does_not_hold_up_the_others(tmp_path, strategy, fault):
    file = tmp_path / "out.json"
    process = start(
        *("--strategy", strategy, "--num-workers", 3, "--num-ps", 2, "--epochs", 16, "--dtype", "float64"),
        *("--json", file),
    )
    victim = worker_of(process.pid, index=1)
    wait_for_line(process, "Epoch 2/16")
    os.kill(victim, {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[fault])
    assert process.poll() is None, "the fault came too late"
    begin = time.monotonic()
    output = ended(process) if fault == "kill" else ended_with_stopped(process, victim)
    assert process.returncode == 0, output
    assert time.monotonic() - begin < 20
    result = json.loads(file.read_text())
    assert result["pushed"] == result["applied"] + result["dropped"]
    assert len(result["train_loss"]) == 16
    assert result["test_accuracy"] > 0.9


def wait_for_line(process, text):
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"it never said {text!r}")


def worker_of(chief, index):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for pid in processes_of(MARKER):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    if re.search(rb'"type": "worker", "index": %d\b' % index, file.read()):
                        return pid
            except OSError:
                pass
        time.sleep(0.02)
    raise AssertionError("no such worker")


def ended_with_stopped(process, victim):
    try:
        return ended(process)
    finally:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            pass


def test_the_generated_code_is_that_of_the_protos():
    ended = subprocess.run([str(ROOT / "scripts" / "protos"), "--check"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("num_ps", [1, 2])
def test_c6_c8_a_killed_ps_comes_back_and_training_goes_on(tmp_path, num_ps):
    """With several, all go back to the same cut: the others end, and all are started again."""

    def start_ps(address, *flags):
        command = [sys.executable, "-m", "distrib", "ps", "--address", address, *flags]
        saving = ["--checkpoint-dir", str(tmp_path / "checkpoints"), "--checkpoint-steps", "50"]
        process = subprocess.Popen(
            [*command, *saving], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        line = process.stdout.readline()
        assert line.startswith("ps listens on "), line
        return process, line.split()[-1]

    servers, addresses = zip(*(start_ps("127.0.0.1:0") for _ in range(num_ps)), strict=True)
    file = tmp_path / "out.json"
    config = {"cluster": {"chief": ["x:0"], "ps": addresses}, "task": {"type": "chief", "index": 0}}
    chief = subprocess.Popen(
        [
            *EXAMPLE,
            *[
                "--strategy",
                "ps-sync",
                "--num-workers",
                "1",
                "--epochs",
                "40",
                "--dtype",
                "float64",
                "--json",
            ],
            str(file),
        ],
        env={**os.environ, "TF_CONFIG": json.dumps(config), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seen = ""
    while "Epoch 6/" not in seen:
        line = chief.stdout.readline()
        assert line, seen
        seen += line
    servers[-1].kill()
    assert servers[-1].wait(5) == -signal.SIGKILL
    begin = time.monotonic()
    for other in servers[:-1]:
        assert other.wait(10) == 75
        assert time.monotonic() - begin < 5
    assert chief.poll() is None, "the fault came too late"
    for server in servers:
        server.stdout.close()
    alone = start(  # meanwhile
        "--strategy", "default", "--epochs", 40, "--dtype", "float64", "--json", tmp_path / "alone.json"
    )
    if num_ps == 1:
        time.sleep(5 - (time.monotonic() - begin))  # the outage
    servers, _ = zip(*(start_ps(address, "--restore") for address in addresses), strict=True)
    begin = time.monotonic()
    for server in servers:  # they restore when the worker is there
        assert "restored from" in server.stdout.readline()
    assert time.monotonic() - begin < 1 + 2
    rest, _ = chief.communicate(timeout=60)
    assert chief.returncode == 0, seen + rest
    for server in servers:
        assert server.wait(5) == 0
        server.stdout.close()
    results = []
    ended(alone)
    for name in ("out.json", "alone.json"):
        results.append(json.loads((tmp_path / name).read_text()))
    assert results[0]["train_loss"] == pytest.approx(results[1]["train_loss"], rel=1e-9)
    assert results[0]["test_loss"] == pytest.approx(results[1]["test_loss"], rel=1e-9)
