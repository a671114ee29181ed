"""Threads of our own that end by an error: somebody knows, and nobody waits for what they would do."""

import os
import re
import signal
import socket
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest
from helpers.launch import Launch, config
from helpers.mpi import ROOT, available, job_pids, mpirun, on_ranks, started
from helpers.ps import on_workers, worker_of

import distrib
from distrib.base import background
from distrib.comm.liveness import exit
from distrib.ps.client import stream
from distrib.ps.server import checkpoint_writer as writer_module
from distrib.ps.server.checkpoint_writer import CheckpointOptions, CheckpointWriter
from distrib.ps.server.node import Node
from distrib.ps.server.read_timeout import ReadTimeout
from distrib.ps.server.server import Server
from distrib.ps.wire import codec
from distrib.strategies.ps_worker.prefetch import Prefetch
from distrib.strategies.update import gradient_buckets

ENDS = ROOT / "tests" / "launch" / "programs" / "ends.py"


def test_an_error_is_logged_with_the_name_of_the_thread_and_told(caplog):
    told = []

    def fail():
        raise OSError(5, "Input/output error")

    background.start(fail, "example", told.append).join(5)
    assert [str(error) for error in told] == ["[Errno 5] Input/output error"]
    assert "The thread 'example' has ended" in caplog.text
    assert "Input/output error" in caplog.text


def parts(saver, cut):
    said = []
    saver.add(cut, 0, {"values": np.zeros(4, np.float32)})
    saver.begin(cut, {"cut": cut})
    saver.when_done(cut, said.append)
    deadline = time.monotonic() + 5
    while not said and time.monotonic() < deadline:
        time.sleep(0.01)
    return said


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), MemoryError(), KeyError("cut")], ids=repr
)
def test_an_error_while_saving_is_told_and_the_next_checkpoint_is_written(tmp_path, monkeypatch, error):
    write, errors = writer_module.write_checkpoint, [error]

    def fails_once(*arguments):
        if errors:
            raise errors.pop()
        write(*arguments)

    monkeypatch.setattr(writer_module, "write_checkpoint", fails_once)
    saver = CheckpointWriter(tmp_path, 1)
    (failure,) = parts(saver, 1)
    assert type(error).__name__ in failure
    assert parts(saver, 2) == [""]
    assert (tmp_path / "ps-2").is_dir()
    saver.close()


def test_a_saver_whose_thread_has_ended_says_so(tmp_path, monkeypatch):
    class Fatal(BaseException):
        pass

    def dies(*arguments):
        raise Fatal

    monkeypatch.setattr(writer_module, "write_checkpoint", dies)
    saver = CheckpointWriter(tmp_path, 1)
    for cut in (1, 2):
        (failure,) = parts(saver, cut)
        assert "the thread that saves has ended: Fatal()" in failure
    saver.close()


def test_training_goes_on_where_a_ps_cannot_save_for_a_reason_nobody_expected(tmp_path, monkeypatch):
    def fails(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(writer_module, "write_checkpoint", fails)

    def body(strategy):
        model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(3,))])
        model.compile("sgd", "mse")
        return model.fit(np.ones((40, 3)), np.zeros((40, 1)), batch_size=4, epochs=2, verbose=0).history

    begin = time.monotonic()
    histories = on_workers(2, body, checkpoints=CheckpointOptions(tmp_path, every=3))
    assert len(histories[0]["loss"]) == 2
    assert time.monotonic() - begin < 20


CLIENT_DIES = """
import time
import numpy as np
import distrib
from distrib.comm.liveness.client import LivenessClient

strategy = distrib.MirroredStrategy()
if strategy.replica_id == 1:
    def take(self, message):
        print("FAULT FIRED at", time.monotonic(), flush=True)
        raise RuntimeError("a bug of ours")
    LivenessClient.take = take
with strategy.scope():
    model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(3,))])
    model.compile("sgd", "mse")
model.fit(np.ones((40, 3)), np.zeros((40, 1)), batch_size=4, epochs=1_000_000, verbose=0)
"""


@pytest.mark.parametrize("mpi", available())
def test_a_rank_whose_liveness_client_has_ended_ends_and_says_so(tmp_path, mpi):
    (tmp_path / "script.py").write_text(CLIENT_DIES)
    ended = mpirun(mpi, 2, tmp_path / "script.py")
    assert ended.code
    assert "The thread 'distrib-liveness' has ended" in ended.output
    assert "cannot be heard any more (RuntimeError('a bug of ours'))" in ended.output
    assert ended.at - ended.fired_at < 5
    assert not ended.survivors


def test_cuts_do_not_pile_up_behind_a_slow_disk(tmp_path, monkeypatch):
    """While one is written none but those at borders are made: what waits takes memory."""
    write, written, waiting = writer_module.write_checkpoint, [], []

    def slow(path, files, manifest):
        time.sleep(0.2)
        write(path, files, manifest)
        written.append(manifest["sequencer"]["version"])

    add = CheckpointWriter.add

    def counted(saver, cut, ps, vectors):
        add(saver, cut, ps, vectors)
        waiting.append(saver.num_waiting)

    monkeypatch.setattr(writer_module, "write_checkpoint", slow)
    monkeypatch.setattr(CheckpointWriter, "add", counted)

    def body(strategy):
        model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(3,))])
        model.compile("sgd", "mse")
        model.fit(np.ones((400, 3)), np.zeros((400, 1)), batch_size=4, epochs=2, verbose=0)

    on_workers(1, body, num_ps=2, checkpoints=CheckpointOptions(tmp_path, every=1))
    assert max(waiting) <= 2, "the one that is collected, and a border"
    assert 4 <= len(written) < 40


def training(strategy):
    model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(3,))])
    model.compile("sgd", "mse")
    return model.fit(np.ones((400, 3)), np.zeros((400, 1)), batch_size=4, epochs=2, verbose=0).history


def fails_later(function, after):
    """`function`, and a bug of ours from its call `after` on; the list of what it was called with then."""
    calls, failed = [], []

    def changed(*arguments):
        calls.append(arguments)
        if len(calls) > after:
            failed.append(arguments)
            raise KeyError("a bug of ours")
        return function(*arguments)

    return changed, failed


@pytest.mark.parametrize(
    ("where", "name", "words"),
    [
        (codec, "entry_of", "ps:1 cannot execute the log of ps:0"),  # the thread `follower` of ps:1
        (Node, "arrived", "ps:1 has sent an invalid message"),  # the thread `ps:1` of ps:0
    ],
)
def test_a_job_ends_where_a_ps_no_longer_follows_or_is_heard(monkeypatch, caplog, where, name, words):
    changed, failed = fails_later(getattr(where, name), 5)
    monkeypatch.setattr(where, name, changed)
    servers = [Server("127.0.0.1:0") for _ in range(2)]
    waiting = [threading.Thread(target=server.wait) for server in servers]  # as the command `distrib ps`
    for thread in waiting:
        thread.start()
    strategy = distrib.ParameterServerStrategy(
        worker_of(0, 1, tuple(f"127.0.0.1:{server.port}" for server in servers)), ps_timeout_s=3.0
    )
    begin = time.monotonic()
    with strategy.scope(), pytest.raises(distrib.PeerLostError, match=r"ps:[01] is lost|waited"):
        training(strategy)
    strategy.close()
    for thread in waiting:
        thread.join(10)
    assert time.monotonic() - begin < 12
    assert failed
    assert words in caplog.text
    assert any("is lost" in server.reason for server in servers)


def test_a_call_whose_deadline_nobody_watches_is_given_up(monkeypatch, caplog):
    monkeypatch.setattr(stream, "REMIND_EVERY_S", 0.1)
    cancelled = threading.Event()

    def remind(seconds):
        raise KeyError("a bug of ours")

    deadline = stream.Deadline(cancelled.set, remind)
    with deadline.of(1000):
        assert cancelled.wait(3)
    assert "The thread 'deadline' has ended" in caplog.text
    deadline.close()


def test_a_stream_that_cannot_be_given_up_does_not_keep_others(caplog):
    patience, given_up, forever = ReadTimeout(limit_s=0.3), threading.Event(), threading.Event()

    def fail():
        raise KeyError("a bug of ours")

    def waits():
        forever.wait(20)
        return iter(())

    def messages():
        yield from waits()

    threads = [
        threading.Thread(target=lambda give_up=give_up: list(patience.watched(messages(), "peer", give_up)))
        for give_up in (fail, given_up.set)
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    assert given_up.wait(3)
    assert "The stream of peer cannot be ended" in caplog.text
    forever.set()
    patience.close()
    for thread in threads:
        thread.join(5)


def test_what_is_done_ahead_or_bucket_by_bucket_raises_where_it_is_waited_for():
    def fail(*arguments):
        raise KeyError("a bug of ours")

    client = type("Client", (), {"push": fail})()
    ahead = Prefetch(client, np.zeros(3), np.zeros(3))
    ahead.push(None, np.ones(3))
    with pytest.raises(KeyError, match="a bug of ours"):
        ahead.answer()
    ahead.close()
    thread = gradient_buckets.TaskThread(fail)
    thread.tasks.put(0)
    with pytest.raises(KeyError, match="a bug of ours"):
        thread.finish()


@pytest.mark.parametrize("mpi", available())
def test_a_liveness_server_that_is_killed_is_noticed_by_every_rank(tmp_path, mpi):
    with started(on_ranks(mpi, 2), ENDS, "wait", tmp_path) as (process, job):
        wait_until(lambda: len(list(tmp_path.glob("trains-*"))) == 2)
        (server,) = pids_of(job, b"distrib.comm.")
        os.kill(server, signal.SIGKILL)
        output, _ = process.communicate(timeout=5)
    assert process.returncode
    assert "the liveness server beside it died" in output


@pytest.mark.parametrize(("victim", "code"), [("ps 0", 75), ("worker 0", 0), ("chief 0", 75)])
def test_a_supervisor_that_is_killed_takes_its_task_along(tmp_path, victim, code):
    job = Launch(
        "--tee", "--log-dir", tmp_path / "logs", config(tmp_path, "ps-async"), ENDS, "slow", tmp_path
    )
    wait_until(lambda: len(list(tmp_path.glob("trains-*"))) == 2)
    task = job.task(victim)
    supervisor = int(Path(f"/proc/{task}/stat").read_text().rpartition(")")[2].split()[1])
    assert b"supervisor" in Path(f"/proc/{supervisor}/cmdline").read_bytes()
    os.kill(supervisor, signal.SIGKILL)
    ended = job.ended()
    assert ended.code == code, ended.output
    assert f"{victim} on localhost was killed by signal 9" in ended.output
    assert not ended.survivors


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def pids_of(job, mark):
    return [pid for pid in job_pids(job) if mark in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_every_thread_stands_in_the_documentation():
    documented = (ROOT / "docs" / "faults.md").read_text()
    started = set()
    for path in (ROOT / "distrib").rglob("*.py"):
        text = path.read_text()
        started |= set(re.findall(r'background\.start\([^"]*?"([a-z -]+)"', text))
        started |= set(re.findall(r'Thread\([^)]*name="([a-z -]+)"', text))
    assert started >= {"checkpoint writer", "distrib-liveness", "follower", "buckets", "prefetch"}
    missing = [name for name in started - {"stop"} if f"| `{name}`" not in documented]
    assert not missing


LATE = """
import os, time
import distrib
if any(os.environ.get(name) == "1" for name in ("OMPI_COMM_WORLD_RANK", "PMI_RANK")):
    time.sleep(60)
distrib.MirroredStrategy()
"""


@pytest.mark.parametrize("mpi", available())
def test_a_rank_that_never_comes_is_not_waited_for_for_ever(tmp_path, mpi):
    (tmp_path / "script.py").write_text(LATE)
    begin = time.monotonic()
    ended = mpirun(mpi, 2, tmp_path / "script.py", DISTRIB_START_TIMEOUT_S="3")
    assert ended.code
    assert time.monotonic() - begin < 15
    assert "not all of the 2 ranks that" in ended.output
    assert "have come within 3 s (DISTRIB_START_TIMEOUT_S)" in ended.output
    assert "Traceback" not in ended.output
    assert "most recent call first" not in ended.output
    assert not ended.survivors


def test_a_forked_child_closes_no_descriptor_that_is_another_s_by_then():
    """Its number may be taken again before the socket object ends."""
    mine, other = socket.socketpair()
    ending = exit.ExitHandler.__new__(exit.ExitHandler)  # without the hooks that it would leave behind here
    ending.guard(types.SimpleNamespace(socket=mine), None)
    number = mine.fileno()
    ending.in_forked_child()
    again = os.open(os.devnull, os.O_RDONLY)
    assert again == number
    mine.close()
    os.fstat(again)
    os.close(again)
    other.close()
