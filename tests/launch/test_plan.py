"""What is started where, how output is taken apart, and which failure is the cause: values, without any process."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import missing

import distrib
from distrib import launch
from distrib.cluster.config import config_from_text
from distrib.launch import hostfile
from distrib.launch.backends import mpirun, mpirun_ssh, ssh
from distrib.launch.backends.mpirun import ByRank, Mpi
from distrib.launch.plan import plan, taken_along
from distrib.launch.run import task_logs
from distrib.launch.run.root_cause import Failure, failures_of_mpirun, meaning_of_code, root_cause
from distrib.launch.run_credentials import new_certificates
from distrib.launch.task.entrypoint import task_of_rank
from distrib.launch.task.exit_record import ExitRecord, from_line, to_line


def made(
    cluster,
    launch=None,
    here=("localhost", "127.0.0.1", "h1"),
    insecure=False,
    script=("train.py", "--epochs", "5"),
):
    config = config_from_text(json.dumps({"cluster": cluster, "launch": launch or {}}))
    return plan(config, script, "/venv/bin/python", lambda host: host in here, insecure)


ALL = {"chief": ["h1:0"], "worker": ["h2:0", "h2:1"], "ps": ["h3:0", "h1:0"], "evaluator": ["h3:0"]}


def test_with_ps_every_task_is_a_process():
    found = made(ALL)
    assert [(task.name, task.host) for task in found.tasks] == [
        ("ps 0", "h3"),
        ("ps 1", "localhost"),
        ("chief 0", "localhost"),
        ("worker 0", "h2"),
        ("worker 1", "h2"),
        ("evaluator 0", "h3"),
    ]
    assert not found.by_mpirun
    assert found.needs_tls
    assert found.ps[0].command == ("/venv/bin/python", "-m", "distrib", "ps", "--address", "h3:0")
    assert found.trainers[0].command == (
        *("/venv/bin/python", "-m", "distrib.launch.task.entrypoint", "train.py", "--epochs", "5"),
    )
    assert found.share == {"localhost": 1, "h2": 2, "h3": 0}


def test_a_task_is_told_who_it_is():
    found = made(ALL, {"env": {"A": "b"}}).with_ps(["h3:7001", "127.0.0.1:7002"])
    environ = found.environ(found.trainers[2])
    config = json.loads(environ.pop("TF_CONFIG"))
    assert config["cluster"]["ps"] == ["h3:7001", "127.0.0.1:7002"]
    assert config["task"] == {"type": "worker", "index": 1}
    assert environ == {"A": "b", "DISTRIB_STRATEGY": "ps-sync"}
    assert found.ps[0].address == "h3:7001"


def test_without_ps_one_mpirun_starts_all_but_the_evaluator():
    found = made({"worker": ["h1:0", "h2:0"], "evaluator": ["h2:0"]})
    assert found.by_mpirun
    assert found.config.launch.strategy == "mirrored"
    assert [task.name for task in found.trainers] == ["worker 0", "worker 1"]
    assert found.evaluator.name == "evaluator 0"


def test_one_process_needs_no_mpirun():
    assert not made({"chief": ["localhost:0"]}).by_mpirun


@pytest.mark.parametrize("ps", ["localhost:0", "127.0.0.1:2222"])
def test_a_ps_that_other_hosts_cannot_reach_is_refused(ps):
    with pytest.raises(distrib.ConfigError, match=r"^cluster\.ps\[1\]: expected an address that h2, h3 can"):
        made({**ALL, "ps": ["h3:0", ps]})


@pytest.mark.parametrize(
    ("insecure", "ps", "tls"), [(False, "h3:0", True), (True, "h3:0", False), (False, "127.0.0.1:0", False)]
)
def test_tls_where_others_can_connect(insecure, ps, tls):
    found = made({"chief": ["h1:0"], "ps": [ps]}, insecure=insecure)
    assert found.needs_tls == tls
    assert ("--insecure" in found.ps[0].command) == insecure


def test_central_storage_over_hosts_names_what_to_take():
    with pytest.raises(
        distrib.ConfigError, match=r"launch.strategy: central_storage .* use ps-sync, or mirrored"
    ):
        made({"chief": ["h1:0"], "worker": ["h2:0"]}, {"strategy": "central_storage"})


def test_only_what_is_ours_goes_to_other_hosts_and_no_secret():
    environ = {
        "HOME": "/",
        "AWS_SECRET": "x",
        "DISTRIB_TTY": "1",
        "DISTRIB_TOKEN_FILE": "/t",
        "DISTRIB_TLS_KEY": "/k",
    }
    assert taken_along({**environ, "PYTHONPATH": "/p"}) == {"DISTRIB_TTY": "1", "PYTHONPATH": "/p"}


def test_mpirun_of_both_kinds():
    line = mpirun.command(
        Mpi("Open MPI", "/venv/bin/mpirun", "/there"),
        ["h1", "h2", "h2"],
        ["python", "x.py"],
        ["A"],
        "/w",
        ["-q"],
    )
    text = " ".join(line)
    assert text.startswith("/venv/bin/mpirun -n 3 --host h1:1,h2:2 ")
    assert (
        f"-x A --prefix /there --prtemca plm_ssh_agent {sys.executable} -I -S {mpirun_ssh.__file__} " in text
    )
    assert text.endswith("--wdir /w -q python x.py")
    line = mpirun.command(Mpi("MPICH", "/venv/bin/mpirun"), ["localhost"] * 2, ["python", "x.py"])
    assert line == [
        "/venv/bin/mpirun",
        "-n",
        "2",
        "-hosts",
        "localhost:2",
        "-prepend-pattern",
        "\x1e%r\x1f",
        "-launcher",
        "fork",
        "python",
        "x.py",
    ]


def test_mpich_is_told_where_the_others_find_this_host():
    line = mpirun.command(
        Mpi("MPICH", "mpirun"), ["localhost", "h2", "h2"], ["python"], address="198.51.100.1"
    )
    assert line[4] == "198.51.100.1:1,h2:2"
    assert line[line.index("-localhost") + 1] == "198.51.100.1"


def fake_mpirun(folder):
    """A folder of an environment with an interpreter and an mpirun."""
    folder.mkdir()
    for name, says in (("python", ""), ("mpirun", "mpirun (Open MPI) 5.0.9")):
        (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (folder / name).chmod(0o755)
    return str(folder / "python")


def test_mpirun_is_that_of_the_interpreter(tmp_path, monkeypatch):
    there = fake_mpirun(tmp_path / "bin")
    found = mpirun.find_mpi(there)
    assert found == Mpi("Open MPI", str(tmp_path / "bin" / "mpirun"), str(tmp_path))
    monkeypatch.setattr(sys, "executable", there)
    monkeypatch.setenv("PATH", str(tmp_path))
    only_there = mpirun.find_mpi("/opt/there/bin/python")
    assert only_there == Mpi("Open MPI", str(tmp_path / "bin" / "mpirun"), "/opt/there"), "on the other hosts"
    assert mpirun.find_mpi("python3.99").prefix == str(tmp_path)


TOLD = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def test_root_is_told_what_open_mpi_wants():
    ours = Mpi("Open MPI", "/x/mpirun")
    mpirun.check_user(ours, [], TOLD, 0)
    mpirun.check_user(ours, ["--allow-run-as-root"], {}, 0)
    mpirun.check_user(ours, [], {}, 1000)
    mpirun.check_user(Mpi("MPICH", "/x/mpirun"), [], {}, 0)
    for half in ({}, {"OMPI_ALLOW_RUN_AS_ROOT": "1"}):
        with pytest.raises(distrib.ConfigError, match=f"export {' '.join(f'{name}=1' for name in TOLD)}"):
            mpirun.check_user(ours, [], half, 0)


@pytest.mark.parametrize(
    ("said", "options", "ours"),
    [
        ("", (), ["ConnectTimeout=10", "ServerAliveInterval=1", "ServerAliveCountMax=2"]),
        ("ConnectTimeout 40", (), ["ServerAliveInterval=1", "ServerAliveCountMax=2"]),
        ("ServerAliveInterval 15", (), ["ConnectTimeout=10"]),
        ("", ("-o", "ConnectTimeout=3", "-o", "ServerAliveInterval=4"), []),
    ],
)
def test_what_the_user_says_of_ssh_comes_first(tmp_path, said, options, ours):
    if shutil.which("ssh") is None:
        missing("ssh")
    config = tmp_path / "config"
    config.write_text(f"Host h2\n  {said}\n" if said else "")
    options = ("-F", str(config), *options)
    line = ssh.remote("h2", ["python"], "", "", options)
    assert line[: 1 + len(options)] == ["ssh", *options]
    expected = [word for setting in ["BatchMode=yes", *ours] for word in ("-o", setting)]
    assert line[1 + len(options) :] == [*expected, "h2", "exec python"]
    for_all = ssh.program(("h1", "h2"), options)
    assert for_all == line[:-2], "one setting of the user is enough"


def test_options_with_spaces_reach_ssh_whole_under_mpirun(tmp_path, monkeypatch):
    show = tmp_path / "show"
    show.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    show.chmod(0o755)
    options = [str(show), "-o", "ProxyCommand=nc -x proxy:1 %h %p", "-i", "my 'own' key"]
    for mpi in (Mpi("Open MPI", "mpirun"), Mpi("MPICH", "mpirun")):
        told = mpirun.variables(mpi, options)
        if mpi.kind == "MPICH":
            command = [told["HYDRA_LAUNCHER_EXEC"], "-x", *told["HYDRA_LAUNCHER_EXTRA_ARGS"].split(" ")]
        else:
            line = mpirun.command(mpi, ["h1", "h2"], ["x"])
            command = line[line.index("plm_ssh_agent") + 1].split(" ")
        ended = subprocess.run(
            [*command, "h2", "orted"], env=told, capture_output=True, text=True, check=True
        )
        assert ended.stdout.splitlines() == [*options[1:], "h2", "orted"]


def test_what_stops_the_ranks_of_each():
    assert Mpi("Open MPI", "").stop_signal == signal.SIGUSR2
    assert Mpi("MPICH", "").stop_signal == signal.SIGTERM


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (
            "Open MPI",
            b"[1,1]<stdout>: one\nmpirun says\n[1,0]<stderr>: \r10%\r20%\n[1,1]<stdout>: \n[1,0]<stderr>: end",
        ),
        ("MPICH", b"mpirun says\n\x1e1\x1fone\n\x1e0\x1f\r10%\x1e1\x1f\n\x1e0\x1f\r20%\n\x1e0\x1fend"),
    ],
)
def test_output_is_taken_apart_by_rank_however_it_comes(kind, data, size):
    by_rank, found = ByRank(kind), {None: b"", 0: b"", 1: b""}
    for begin in range(0, len(data), size):
        for rank, piece in by_rank.feed(data[begin : begin + size]):
            found[rank] += piece
    for rank, piece in by_rank.feed(b""):
        found[rank] += piece
    assert found == {None: b"mpirun says\n", 0: b"\r10%\r20%\nend", 1: b"one\n\n"}


RECORD = ExitRecord("run.1", "worker 1", "h2", 70, "ValueError: x\ny")


def test_a_record_is_a_line():
    assert from_line("rest " + to_line(RECORD)) == ("rest ", RECORD)
    assert "\n" not in to_line(RECORD)
    for line in ("nothing", "\x1edistrib-end {", '\x1edistrib-end {"a": 1}', "\x1edistrib-end []"):
        assert from_line(line) == (line, None)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_log_keeps_what_was_written_and_hears_what_was_meant_for_the_launcher(tmp_path, capfdbinary, size):
    log = task_logs.TaskLog(tmp_path / "a.log", "[worker 1] ", True)
    data = (
        b"\x1edistrib-start\nplain\n\x1e[31mred\nprogress 1\rprogress 2\n"
        + to_line(RECORD).encode()
        + b"\nlast"
    )
    for begin in range(0, len(data), size):
        log.write("stderr", data[begin : begin + size])
    log.write("stderr", b"")
    log.close()
    assert log.has_started
    assert log.record == RECORD
    assert list(log.lines) == ["plain", "\\x1e[31mred", "progress 2", "last"]
    assert (tmp_path / "a.log").read_bytes() == b"plain\n\\x1e[31mred\nprogress 1\rprogress 2\nlast"
    assert stat.S_IMODE((tmp_path / "a.log").stat().st_mode) == 0o600


@pytest.mark.parametrize("obstacle", ["link", "pipe", "pipe that is read", "folder", "full disk"])
def test_a_log_that_cannot_be_written_is_given_up_with_one_warning(tmp_path, obstacle, capsys):
    path, reader = tmp_path / "a.log", -1
    if obstacle == "link":
        path.symlink_to(tmp_path / "target")
    elif obstacle.startswith("pipe"):
        os.mkfifo(path)
        if obstacle != "pipe":
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    elif obstacle == "folder":
        path.mkdir()
    log = task_logs.TaskLog(path, None, True)
    if obstacle == "full disk":
        with open("/dev/full", "wb") as full:
            os.dup2(full.fileno(), log.fileno())
    for _ in range(3):
        log.write("stdout", b"shown\n")
    log.close()
    said = capsys.readouterr()
    assert said.out == "shown\n" * 3
    assert said.err.count("warning: ") == 1
    assert f"{path} is not written any more, and the tasks go on" in said.err
    assert list(log.lines) == ["shown"] * 3
    assert not (tmp_path / "target").exists()
    if reader >= 0:
        os.close(reader)


def test_control_characters_of_others_are_spelled_out():
    assert task_logs.printable("a\x1b[2Jb\x07\x9b\tc") == "a\\x1b[2Jb\\x07\\x9b\tc"


def failure(task, code, when, was_killed=False):
    return Failure(task, "h1", code, "", when, Path("log"), (), was_killed)


def test_what_follows_from_a_failure_is_not_its_cause():
    lost, bug, killed = (
        failure("worker 0", 75, 1.0),
        failure("chief 0", 70, 2.0),
        failure("ps 0", 75, 3.0, True),
    )
    assert root_cause([lost, bug, killed]) is bug
    assert root_cause([lost, killed]) is killed
    assert root_cause([lost, replace(lost, when=0.5)]).when == 0.5


def test_meaning_of_exit_codes():
    assert meaning_of_code(137, None) == (
        "was killed by signal 9 (SIGKILL, possibly out of memory)",
        75,
        True,
    )
    assert meaning_of_code(70, RECORD) == ("failed with exit code 70: ValueError: x\ny", 70, False)
    assert meaning_of_code(0, None)[1] == 75


def test_mpirun_is_not_believed():
    ended = {"chief 0": replaced(code=0), "worker 0": replaced(code=0)}
    assert failures_of_mpirun(0, ended, []) == []
    silent = {**ended, "worker 0": None}
    (verdict,) = failures_of_mpirun(0, silent, [])
    assert (verdict.code, verdict.message) == (75, "returned 0; worker 0 did not come to the end")
    said = "distrib: rank 1 (h2, pid 7) at step 3 died: killed by signal 9"
    (verdict,) = failures_of_mpirun(9, silent, ["x", said])
    assert (verdict.task, verdict.host, verdict.code) == ("worker 0", "h2", 75)
    for line in ("  Remote daemon: [prterun-h1-1@0,2] on node h3", "  Remote host:   h3"):
        (verdict,) = failures_of_mpirun(0, silent, [line])
        assert (verdict.host, verdict.code) == ("h3", 75)
    (verdict,) = failures_of_mpirun(0, {**ended, "chief 0": RECORD}, [said])
    assert verdict.code == 70


def replaced(**fields):
    return RECORD._replace(**fields)


def test_hosts_as_other_launchers_know_them(tmp_path):
    assert hostfile.hosts_of_flag("h1:2,h2") == ["h1", "h1", "h2"]
    (tmp_path / "hosts").write_text("# all\nh1 slots=2  # two\n\nh2\n10.0.0.1   slots = 1\n")
    assert hostfile.hosts_of_file(tmp_path / "hosts") == ["h1", "h1", "h2", "10.0.0.1"]
    config = hostfile.config_of_hosts(["h1", "h1", "h2"], 2)
    assert config.cluster.as_dict() == {"chief": ["h1:0"], "worker": ["h1:0"]}


@pytest.mark.parametrize(
    ("cluster", "tasks"),
    [
        ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, ["chief 0", "worker 0", "worker 1"]),
        ({"worker": ["b:1", "c:1"]}, ["worker 0", "worker 1"]),
        ({"chief": ["a:1"], "worker": {"3": "b:1", "7": "c:1"}}, ["chief 0", "worker 3", "worker 7"]),
    ],
)
def test_ranks_are_tasks_in_order(cluster, tasks):
    found = [
        task_of_rank(config_from_text(json.dumps({"cluster": cluster})).cluster, rank)
        for rank in range(len(tasks))
    ]
    assert [f"{task['type']} {task['index']}" for task in found] == tasks


def test_ssh_takes_words_as_they_are():
    line = ssh.remote("h2", ["/a b/python", "-m", "x"], "/w; touch y", "/p q", ["-F", "c"])
    assert line[:5] == ["ssh", "-F", "c", "-o", "BatchMode=yes"]
    assert line[-2] == "h2"
    assert line[-1] == "cd '/w; touch y' && exec env 'PYTHONPATH=/p q' '/a b/python' -m x"


@pytest.mark.parametrize(
    ("host", "here"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("192.0.2.1", False), ("h.invalid", False)],
)
def test_which_hosts_are_this_one(host, here):
    assert ssh.is_here(host) == here


def test_certificates_of_two_runs_differ():
    one, two = new_certificates(["h1", "10.0.0.1", "::1"]), new_certificates(["h1"])
    assert set(one) == {"DISTRIB_TLS_CERT", "DISTRIB_TLS_KEY", "DISTRIB_TLS_CA"}
    assert all(one[name] != two[name] and "-----BEGIN" in one[name] for name in one)


@pytest.mark.parametrize("binding", [("--bind-to", "core"), ("--bind-to=core",), ()])
def test_the_users_binding_takes_the_place_of_ours(binding):
    """mpirun takes one only, and ends where there are two."""
    line = mpirun.command(mpirun.Mpi("Open MPI", "/x/bin/mpirun"), ["localhost"], ["true"], options=binding)
    given = [word for word in line if "bind-to" in word]
    assert given == [*([word for word in binding if "bind-to" in word] or ["--bind-to"])]
    assert ("none" in line) is (not binding)


def test_no_shell_and_no_pickle_in_the_launcher():
    text = "".join(path.read_text() for path in Path(launch.__file__).parent.rglob("*.py"))
    for word in ("shell=True", "os.system", "pickle", "marshal", "eval(", "exec("):
        assert word not in text
