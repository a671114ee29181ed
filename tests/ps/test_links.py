"""A worker and a ps on hosts of their own: links that are cut and come back, and a ps that is frozen for a while."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import missing
from helpers import hosts
from helpers.mpi import ROOT

pytestmark = pytest.mark.timeout(120)
EXAMPLE = str(ROOT / "examples" / "train_images.py")
ADDRESS = "10.77.0.2:5123"


@pytest.fixture
def two_hosts():
    if hosts.why_not():
        missing(hosts.why_not())
    with hosts.Hosts(2) as made:
        yield made


def start(two_hosts, host, *command, **environ):
    command = [str(two_hosts.agent), host, *map(str, command)]
    return subprocess.Popen(
        command,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def link(two_hosts, state):
    namespace = two_hosts._namespaces["h2"]
    subprocess.run(["ip", "-n", namespace, "link", "set", "v2", state], check=True)


def expected_losses(tmp_path):
    file = tmp_path / "alone.json"
    flags = ["--strategy", "default", "--epochs", "40", "--dtype", "float64", "--json", str(file)]
    subprocess.run([sys.executable, EXAMPLE, *flags], check=True, capture_output=True, timeout=60)
    return json.loads(file.read_text())["train_loss"]


def tc(two_hosts, *arguments):
    namespace = two_hosts._namespaces["h2"]
    subprocess.run(["tc", "-n", namespace, "qdisc", *arguments], check=True)


def sent(two_hosts):
    namespace = two_hosts._namespaces["h2"]
    shown = subprocess.run(
        ["ip", "-n", namespace, "-s", "-j", "link", "show", "v2"], check=True, capture_output=True
    )
    return json.loads(shown.stdout)[0]["stats64"]["tx"]["bytes"]


def route(two_hosts, action):
    namespace = two_hosts._namespaces["h2"]
    subprocess.run(["ip", "-n", namespace, "route", action, "blackhole", "10.77.0.1/32"], check=True)


@pytest.mark.parametrize(
    "fault", ["c11 flap", "c10 link down", "c12 one way", "c13 slow link", "c9 frozen ps"]
)
def test_training_goes_on_after(two_hosts, tmp_path, fault):
    token = tmp_path / "token"
    token.write_text("of this run")
    ps = start(
        two_hosts,
        "h2",
        sys.executable,
        "-m",
        "distrib",
        "ps",
        "--address",
        ADDRESS,
        "--insecure",
        "--no-shared-memory",
        "--token-file",
        token,
    )
    assert ps.stdout.readline() == f"ps listens on {ADDRESS}\n"
    file = tmp_path / "out.json"
    config = {"cluster": {"chief": ["h1:0"], "ps": [ADDRESS]}, "task": {"type": "chief", "index": 0}}
    chief = start(
        two_hosts,
        "h1",
        *(sys.executable, EXAMPLE, "--strategy", "ps-sync", "--num-workers", 1, "--epochs", 40),
        *("--dtype", "float64", "--json", file),
        TF_CONFIG=json.dumps(config),
        DISTRIB_TOKEN_FILE=str(token),
        PYTHONUNBUFFERED="1",
    )
    if fault.startswith("c13"):
        tc(two_hosts, "add", "dev", "v2", "root", "tbf", "rate", "400kbit", "burst", "4kb", "latency", "9s")
    seen = ""
    while ("Epoch 1/" if fault.startswith("c13") else "Epoch 4/") not in seen:
        line = chief.stdout.readline()
        assert line, seen
        seen += line
    if fault.startswith("c9"):
        os.killpg(ps.pid, signal.SIGSTOP)
        time.sleep(4)
        os.killpg(ps.pid, signal.SIGCONT)
    elif fault.startswith("c12"):
        route(two_hosts, "add")  # answers are lost, pushes are not
        time.sleep(4)
        route(two_hosts, "del")
    elif fault.startswith("c13"):
        before = sent(two_hosts)
        time.sleep(5)  # an answer of 61 kB takes 1.2 s
        assert 5e4 < sent(two_hosts) - before < 5e5, "the link was not slow"
        tc(two_hosts, "del", "dev", "v2", "root")
    else:
        link(two_hosts, "down")
        time.sleep(1 if "flap" in fault else 4)
        link(two_hosts, "up")
    assert chief.poll() is None, "the fault came too late"
    rest, _ = chief.communicate(timeout=60)
    assert chief.returncode == 0, seen + rest
    assert ps.wait(5) == 0
    ps.stdout.close()
    if fault[:3] in ("c9 ", "c10", "c12"):
        assert "waits for the ps" in seen + rest, "the fault was not noticed"
    if fault[:3] == "c13":
        assert "waits for the ps" not in seen + rest, "a slow link is not a dead one"
    result = json.loads(file.read_text())
    assert result["train_loss"] == pytest.approx(expected_losses(tmp_path), rel=1e-9)
    assert result["applied"] == 40 * 15
    assert result["pushed"] == result["applied"] + result["dropped"]
