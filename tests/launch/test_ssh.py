"""Three hosts with networks of their own and real sshd: one command starts everything, and everything ends."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import virtual_hosts as hosts
from conftest import missing
from helpers.launch import PROGRAM, SAVES, Launch, check_comeback
from helpers.mpi import ENVIRONMENTS, ROOT
from helpers.ports import everywhere, listening

pytestmark = pytest.mark.timeout(120)

TASKS = {
    "ps-sync": 'chief = ["h1:0"]\nworker = ["h2:0", "10.77.0.3:0"]\nps = ["h2:0", "h3:0"]\nevaluator = ["h3:0"]',
    "mirrored": 'chief = ["h1:0"]\nworker = ["h2:0", "h3:0"]\nevaluator = ["h2:0"]',
}


DEBIAN = ("h1", "h2")
"""Hosts whose own name is 127.0.1.1 to them, as Debian and Ubuntu install it. Rank 0 and a ps are there."""


def install_as_debian_does(made, name, file):
    """Let a host find itself at 127.0.1.1."""
    others = "".join(f"10.77.0.{each[1]} {each}\n" for each in made.names if each != name)
    file.write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n{others}")
    subprocess.run([made.agent, name, "mount", "--bind", file, "/etc/hosts"], check=True)
    told = subprocess.run([made.agent, name, "getent", "ahosts", name], check=True, capture_output=True)
    assert {line.split()[0] for line in told.stdout.splitlines()} == {b"127.0.1.1"}, told


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three hosts, and a function that writes a cluster file for them."""
    if hosts.why_not():
        missing(hosts.why_not())
    if not os.path.exists("/usr/sbin/sshd"):
        missing("sshd")
    with hosts.Hosts(3, own_processes=True) as made:
        for name in DEBIAN:
            install_as_debian_does(made, name, tmp_path_factory.mktemp("etc") / "hosts")
        ssh_config = made.start_sshd()

        def write(folder, strategy):
            file = folder / "three.toml"
            file.write_text(
                f'[cluster]\n{TASKS[strategy]}\n[launch]\nstrategy = "{strategy}"\n'
                f'ssh_options = ["-F", "{ssh_config}"]\n[launch.env]\nDISTRIB_NOTE = "of all tasks"\n'
            )
            return file

        made.write, made.ssh_config = write, ssh_config
        made.idle = {name: made.pids(name) for name in made.names}
        yield made


def launch_on_h1(three, *arguments, **variables):
    return Launch(*arguments, prefix=(three.agent, "h1"), **variables)


def nothing_is_left(three, within_s=2.0):
    deadline = time.monotonic() + within_s
    while True:
        left = {name: three.pids(name) - three.idle[name] for name in three.names}
        if not any(left.values()) or time.monotonic() > deadline:
            return left == {name: set() for name in three.names}
        time.sleep(0.05)


def test_c8_all_roles_on_three_hosts_end_well_though_a_ps_is_killed_on_another_host(three, tmp_path):
    """By the launch script, which asks every host for its distrib first.

    All ps come back from what they have saved on a disk that the hosts share, and no worker's script begins anew.
    """
    file = three.write(tmp_path, "ps-sync")
    file.write_text(file.read_text().replace("[launch.env]", f"{SAVES.format(tmp_path)}\n[launch.env]"))
    flags = ("--tee", "--max-restarts", 2, "--log-dir", tmp_path / "logs")
    script = (ROOT / "scripts" / "launch_cluster.sh", *flags, file, PROGRAM)
    launch = launch_on_h1(three, 20, "none", 0, tmp_path, python="bash", start=script)
    launch.until("TRAINING", 3, 60)
    (ps,) = ps_of(three, "h3")
    os.kill(ps, signal.SIGKILL)
    begin = time.monotonic()
    launch.until("restored from", 2)
    assert time.monotonic() - begin < 4 + 4, "as here, after the starts of ssh on a loaded machine"
    assert "loss " not in launch.seen, "the fault came too late"
    assert [len(ps_of(three, name)) for name in three.names] == [0, 1, 1], "where they were"
    ended = launch.ended(90)
    check_comeback(ended, 20, "ps 1 on h3", workers=3)
    assert "[evaluator 0] ckpt-20: " in ended.output, "it has evaluated the last one"
    assert nothing_is_left(three)
    log = (tmp_path / "logs" / "ps-1.log").read_text()
    assert len(re.findall(r"ps listens on h3:\d+", log)) == 2
    assert json.loads((tmp_path / "logs" / "result.json").read_text())["code"] == 0


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process trains."""
    file = tmp_path_factory.mktemp("alone") / "out.json"
    command = [sys.executable, ROOT / "examples" / "train_images.py", "--strategy", "default", *FLAGS]
    subprocess.run([*map(str, command), "--json", str(file)], check=True, capture_output=True, timeout=60)
    return json.loads(file.read_text())


FLAGS = ["--epochs", "4", "--dtype", "float64"]
MODEL_BYTES = 8 * (64 * 100 + 100 + 100 * 10 + 10)


@pytest.mark.parametrize("name", ["three_hosts_mirrored", "three_hosts", "three_hosts_ps_async"])
def test_the_example_trains_on_three_hosts_as_in_one_process(three, tmp_path, alone, name):
    """By the launch script and the cluster files as they are, with an evaluator."""
    file, out = tmp_path / "three.toml", tmp_path / "out.json"
    text = (ROOT / "cluster_configs" / f"{name}.toml").read_text()
    file.write_text(f'{text}ssh_options = ["-F", "{three.ssh_config}"]\n')
    script = (ROOT / "scripts" / "launch_cluster.sh", "--log-dir", tmp_path / "logs", file)
    run = ("--checkpoint-dir", tmp_path / "run", "--json", out)
    launch = launch_on_h1(three, "examples/train_images.py", *FLAGS, *run, python="bash", start=script)
    ended = launch.ended(90)
    assert ended.code == 0, ended.output
    assert nothing_is_left(three)
    result = json.loads(out.read_text())
    if name != "three_hosts_mirrored":
        # No ps is on the chief's host, so its gradients travel: far more than its first values. An asynchronous chief
        # on a busy machine may do few of the steps.
        assert result["bytes_sent"] > (5 if name.endswith("async") else 20) * MODEL_BYTES
    if name.endswith("async"):
        assert result["pushed"] == result["applied"] + result["dropped"]
        assert result["train_loss"][-1] < result["train_loss"][0]
    else:
        assert result["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-9)
        assert result["test_loss"] == pytest.approx(alone["test_loss"], rel=1e-9)
    log = (tmp_path / "logs" / "evaluator-0.log").read_text()
    assert [f"ckpt-{number}: " in log for number in (1, 2, 3, 4)] == [True] * 4
    assert f"val_loss: {result['test_loss']:.4f}" in log
    assert (tmp_path / "run" / "best" / "manifest.json").is_file()


def test_mpich_starts_over_ssh_as_open_mpi_does(three, tmp_path, alone):
    python = ENVIRONMENTS["mpich"] / "bin" / "python"
    if not python.exists():
        missing("an environment with MPICH")
    out = tmp_path / "out.json"
    command = (
        "--log-dir",
        tmp_path / "logs",
        three.write(tmp_path, "mirrored"),
        "examples/train_images.py",
        *FLAGS,
    )
    checkpoints = ("--checkpoint-dir", tmp_path / "run")
    ended = launch_on_h1(three, *command, *checkpoints, "--json", out, python=python).ended(90)
    assert ended.code == 0, ended.output
    assert nothing_is_left(three)
    assert json.loads(out.read_text())["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-9)
    assert {path.name for path in (tmp_path / "logs").glob("worker-*.log")} == {
        "worker-0.log",
        "worker-1.log",
    }


def test_between_hosts_it_is_tls_and_secrets_are_nowhere_to_be_seen(three, tmp_path):
    file = three.write(tmp_path, "ps-sync")
    launch = launch_on_h1(three, "--tee", "--log-dir", tmp_path / "logs", file, PROGRAM, 5000, "none", 0)
    launch.until("TRAINING", 3, 60)
    (worker,) = [
        pid
        for pid in three.pids("h2")
        if b'"type": "worker", "index": 0' in _read(pid, "environ")
        and b"launch.task.entrypoint" in _read(pid, "cmdline")
    ]
    environ = dict(
        line.split("=", 1) for line in _read(worker, "environ").decode().split("\0") if "=" in line
    )
    assert environ["DISTRIB_NOTE"] == "of all tasks"
    secrets = []
    for name in ("DISTRIB_TOKEN_FILE", "DISTRIB_TLS_KEY", "DISTRIB_TLS_CERT", "DISTRIB_TLS_CA"):
        with open(environ[name]) as file:
            secrets.append(file.read())
        assert os.stat(environ[name]).st_mode & 0o777 == 0o600
    check_listeners(three)
    token, key = secrets[0], secrets[1].splitlines()[1]
    assert re.fullmatch("[0-9a-f]{64}", token)
    seen = b"".join(
        _read(pid, "cmdline") + _read(pid, "environ")
        for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
    )
    assert token.encode() not in seen
    assert key.encode() not in seen
    launch.signal(signal.SIGTERM)
    launch.until("SAVED AND ENDED")
    ended = launch.ended()
    assert ended.code == 0, ended.output
    assert nothing_is_left(three)
    logs = "".join(log.read_text() for log in (tmp_path / "logs").iterdir())
    assert token not in logs + ended.output
    assert key not in logs + ended.output
    assert not os.path.exists(environ["DISTRIB_TOKEN_FILE"])


def ps_of(three, name):
    return [pid for pid in three.pids(name) if b"\0distrib\0ps\0" in _read(pid, "cmdline")]


def check_listeners(three):
    """S5: a ps listens on the address of the cluster file, and nobody on all."""
    for name, address in (("h2", "0A4D0002"), ("h3", "0A4D0003")):
        (ps,) = ps_of(three, name)
        found = {each.partition(":")[0][-8:] for each in listening([ps])[ps]}
        own = "".join(address[i : i + 2] for i in (6, 4, 2, 0))
        assert found == ({own, "0101007F"} if name in DEBIAN else {own}), "127.0.1.1 is its own name there"
        assert not everywhere(three.pids(name) - three.idle[name])


def _read(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


@pytest.mark.parametrize("strategy", ["mirrored", "ps-sync"])
def test_nothing_outlives_a_launcher_that_is_killed_on_any_host(three, tmp_path, strategy):
    file = three.write(tmp_path, strategy)
    launch = launch_on_h1(
        three, "--tee", "--log-dir", tmp_path / "logs", file, PROGRAM, 50000, "none", 0, tmp_path
    )
    launch.until("TRAINING", 3, 60)
    (launcher,) = [pid for pid in three.pids("h1") if b"\0distrib\0launch\0" in _read(pid, "cmdline")]
    os.kill(launcher, signal.SIGKILL)
    launch.ended()
    assert nothing_is_left(three, 5.0)


@pytest.mark.parametrize("strategy", ["mirrored", "ps-sync"])
def test_d7_a_host_that_is_lost_is_named(three, tmp_path, strategy):
    """Its cable is cut. What runs there ends by itself when it has heard nothing for a while."""
    file = three.write(tmp_path, strategy)
    launch = launch_on_h1(
        three, "--tee", "--log-dir", tmp_path / "logs", file, PROGRAM, 50000, "none", 0, tmp_path
    )
    launch.until("TRAINING", 3, 60)
    launch.begin = time.monotonic()
    three.set_link("h3", "down")
    try:
        ended = launch.ended()
    finally:
        three.set_link("h3", "up")
    assert ended.code == 75, ended.output
    assert ended.seconds < 10, "found in about 3 s"
    assert re.search("on (h3|10.77.0.3) (is|has) lost|rank 2", ended.output.splitlines()[-1]), ended.output
    assert nothing_is_left(three, 40.0)


def test_c8_a_ps_that_is_killed_on_another_host_comes_back_there(three, tmp_path):
    """All ps do, from what they have saved on a disk that the hosts share; and no worker's script begins anew."""
    file = three.write(tmp_path, "ps-sync")
    file.write_text(
        file.read_text()
        .replace('\nevaluator = ["h3:0"]', "")
        .replace("[launch.env]", f"{SAVES.format(tmp_path)}\n[launch.env]")
    )
    logs = ("--log-dir", tmp_path / "logs")
    launch = launch_on_h1(three, "--tee", "--max-restarts", 2, *logs, file, PROGRAM, 12, "none", 0)
    launch.until("TRAINING", 3, 60)
    (ps,) = ps_of(three, "h3")
    os.kill(ps, signal.SIGKILL)
    launch.begin = time.monotonic()
    launch.until("restored from", 2)
    assert time.monotonic() - launch.begin < 4 + 12, "as here, after the starts of ssh on a loaded machine"
    assert "loss" not in launch.seen, "the fault came too late"
    assert [len(ps_of(three, name)) for name in three.names] == [0, 1, 1]
    check_comeback(launch.ended(), 12, "ps 1 on h3", workers=3)
    assert nothing_is_left(three)


def test_d7_an_agent_of_mpirun_that_is_killed_is_never_a_success(three, tmp_path):
    """mpirun returns 0 then, or what it likes."""
    file = three.write(tmp_path, "mirrored")
    launch = launch_on_h1(three, "--tee", "--log-dir", tmp_path / "logs", file, PROGRAM, 50000, "none", 0)
    launch.until("TRAINING", 3, 60)
    pids = three.pids("h3") - three.idle["h3"]
    agents = [pid for pid in pids if _read(pid, "cmdline").split(b"\0")[0].endswith(b"prted")]
    launch.begin = time.monotonic()
    os.kill(agents[0], signal.SIGKILL)
    for agent in agents[1:]:
        with contextlib.suppress(ProcessLookupError):  # a child of the first, which has ended with it
            os.kill(agent, signal.SIGKILL)
    ended = launch.ended()
    assert ended.code == 75, ended.output
    assert ended.seconds < 10, ended.output
    assert re.search(r"on \S+ (is|has) lost|rank 2|mpirun", ended.output.splitlines()[-1]), ended.output
    assert nothing_is_left(three, 5.0)


def test_a_key_that_is_refused_is_told_by_ssh_s_own_line(three, tmp_path):
    """And not by mpirun's advice for every case."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    own = Path(three.ssh_config)
    changed = re.sub(r"IdentityFile \S+", f"IdentityFile {tmp_path}/other", own.read_text())
    (tmp_path / "ssh_config").write_text(changed)
    file = three.write(tmp_path, "mirrored")
    file.write_text(file.read_text().replace(str(own), str(tmp_path / "ssh_config")))
    launch = launch_on_h1(three, "--log-dir", tmp_path / "logs", file, PROGRAM, 5, "none", 0, tmp_path)
    ended = launch.ended()
    assert ended.code == 69, ended.output
    assert re.search(r"h[23] cannot be reached by ssh: .*Permission denied \(publickey", ended.output)
    assert len(ended.output.splitlines()) == 1, ended.output
    assert not (tmp_path / "logs").exists(), "nothing was started"


def test_a_host_that_cannot_be_reached_is_named(three, tmp_path):
    file = three.write(tmp_path, "ps-sync")
    file.write_text(file.read_text().replace("h3:0", "10.77.0.9:0"))
    launch = launch_on_h1(three, "--log-dir", tmp_path / "logs", file, PROGRAM, 5, "none", 0, tmp_path)
    ended = launch.ended()
    assert ended.code == 69, ended.output
    assert "distrib launch: 10.77.0.9 cannot be reached by ssh: ssh: connect" in ended.output
    assert "No route to host" in ended.output
    assert nothing_is_left(three)


def test_d6_another_version_on_a_host_is_refused(three, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 0.0.1\n")
    python.chmod(0o755)
    file = three.write(tmp_path, "ps-sync")
    file.write_text(file.read_text().replace("ssh_options", f'python = "{python}"\nssh_options'))
    ended = launch_on_h1(three, "--check", "--log-dir", tmp_path / "logs", file, PROGRAM).ended()
    assert ended.code == 76, ended.output
    assert re.search(r"(h2|h3|10.77.0.3): expected distrib \S+, as here. Received: 0.0.1", ended.output)
    assert not (tmp_path / "logs").exists()
