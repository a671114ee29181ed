"""Rows of the catalogue of faults around a parameter server: late, lost, too many, too large."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.mpi import ROOT
from helpers.ps import on_workers, worker_of
from helpers.replicas import difference, in_one_process

import distrib
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.client import stream
from distrib.ps.client.client import Client
from distrib.ps.policy.admission.push_counts import PushCounts
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.admission.starvation import StarvationWarning
from distrib.ps.policy.validation import model_description
from distrib.ps.server.checkpoint_writer import CheckpointOptions
from distrib.ps.server.server import Server
from distrib.ps.server.server_options import ServerOptions
from distrib.ps.wire.grpc_options import CHUNK_BYTES, MAX_STREAMS
from distrib.strategies.parameter_server import ParameterServerStrategy

rng = np.random.default_rng(8)
X, Y = rng.normal(size=(60, 6)), rng.integers(0, 3, 60)


class Pause(distrib.callbacks.Callback):
    """Gives the test time to act."""

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.01)


def training(strategy, callbacks=()):
    model = distrib.Sequential(
        [distrib.layers.Dense(3, activation="softmax", input_shape=(6,))], dtype="float64", seed=7
    )
    model.compile(distrib.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    history = model.fit(X, Y, batch_size=12, epochs=6, verbose=0, callbacks=callbacks)
    return model.get_weights(), history.history["loss"]


@pytest.mark.parametrize(("mode", "num_ps"), [("sync", 1), ("async", 2)])
def test_c7_a_ps_is_killed_while_a_worker_starts_again(tmp_path, caplog, mode, num_ps):
    """With several, all go back to the same cut (`test_processes.py`, C8)."""
    saved = CheckpointOptions(tmp_path, every=4)
    servers = [Server("127.0.0.1:0", ServerOptions(checkpoints=saved)) for _ in range(num_ps)]
    addresses = tuple(f"127.0.0.1:{server.port}" for server in servers)
    results, strategies, dead, goes_on = {}, [], threading.Event(), threading.Event()

    class Die(Pause):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    class Tell(Pause):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch)
            goes_on.set()

    def work(worker, name, callback):
        resolver = worker_of(worker, 2, addresses)
        strategy = ParameterServerStrategy(resolver, mode=mode, ps_timeout_s=20.0)
        strategies.append(strategy)
        try:
            with strategy.scope():
                results[name] = training(strategy, [callback])
        except KeyboardInterrupt:
            strategy.client.close()  # as by SIGKILL: it says nothing
            dead.set()

    threads = [
        threading.Thread(target=work, args=arguments)
        for arguments in ((0, "chief", Pause()), (1, "old", Die()))
    ]
    for thread in threads:
        thread.start()
    assert dead.wait(20), "the worker did not die"
    for server in servers:
        server.close()
    assert not results, "the fault came too late"
    threads.append(threading.Thread(target=work, args=(1, "new", Tell())))
    threads[-1].start()
    time.sleep(0.3)
    servers = [
        Server(address, ServerOptions(checkpoints=saved._replace(restore=True))) for address in addresses
    ]
    back = time.monotonic()
    assert goes_on.wait(20), "the new worker never trained"
    assert time.monotonic() - back < 5 + 2
    for thread in threads:
        thread.join(40)
    assert set(results) == {"chief", "new"}
    assert "waits for the ps" in caplog.text
    sequencer = servers[0].inspect().sequencer
    trained = [phase for phase in sequencer.phases.all if phase.trains]
    assert [phase.totals[0] for phase in trained] == [60] * 6, "every example once an epoch"
    for strategy in strategies:
        strategy.close()
    for server in servers:
        assert server.has_ended.wait(2.0)
        server.close()
    if mode == "sync":
        weights, losses = in_one_process(training)
        assert difference(results["chief"][0], weights) <= 1e-12
        np.testing.assert_allclose(results["chief"][1], losses, rtol=1e-9)


HOLDS_THE_GIL = """
import ctypes, sys, threading, time
from distrib.cli.main import main

def hold():
    sys.stdin.readline()
    print("holding", file=sys.stderr, flush=True)
    ctypes.PyDLL(None).sleep(4)

threading.Thread(target=hold, daemon=True).start()
sys.exit(main(["ps", "--address", "127.0.0.1:0", "--no-shared-memory"]))
"""


class Busy:
    """A job of one worker, all ps of which hold their GIL for 4 s in the middle."""

    def __init__(self, mode, num_ps):
        self._mode, self.longest = mode, 0.0
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [sys.executable, "-c", HOLDS_THE_GIL]
        self.ps = [subprocess.Popen(command, text=True, **pipes) for _ in range(num_ps)]
        self.said = []

    def train(self):
        addresses = tuple(ps.stdout.readline().split()[-1] for ps in self.ps)
        strategy = ParameterServerStrategy(worker_of(0, 1, addresses), mode=self._mode, share_memory=False)
        with strategy.scope():
            self.weights, self.losses = training(strategy, [Watch(self)])
        strategy.close()

    def close(self):
        for ps in self.ps:
            assert ps.wait(5) == 0
            self.said.append(ps.stderr.read())
            for pipe in (ps.stdin, ps.stdout, ps.stderr):
                pipe.close()


class Watch(Pause):
    def __init__(self, job):
        super().__init__()
        self._job, self._last = job, time.monotonic()

    def on_train_batch_begin(self, batch, logs=None):
        self._job.longest = max(self._job.longest, time.monotonic() - self._last)

    def on_train_batch_end(self, batch, logs=None):
        self._last = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            for ps in self._job.ps:
                print(file=ps.stdin, flush=True)
            time.sleep(0.3)


def test_c14_a_ps_that_is_busy_for_seconds_is_not_taken_for_dead(caplog):
    jobs = [Busy("sync", 1), Busy("async", 2)]  # at once, so that it takes no longer
    threads = [threading.Thread(target=job.train) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for job in jobs:
        job.close()
        assert all("holding" in said for said in job.said)
        assert job.longest > 3, "the ps was not busy"
    assert "waits for the ps" not in caplog.text
    expected_weights, expected_losses = in_one_process(training)
    for job in jobs:
        assert difference(job.weights, expected_weights) <= 1e-12
        np.testing.assert_allclose(job.losses, expected_losses, rtol=1e-9)


def test_c17_it_is_told_when_all_pushes_are_dropped():
    stagnation, counts = StarvationWarning(), PushCounts()
    assert stagnation.seen(counts, 100.0) == ""
    counts.dropped = 3
    assert stagnation.seen(counts, 200.0) == "", "nothing was pushed before, so nothing was dropped"
    counts.dropped = 7
    assert stagnation.seen(counts, 229.9) == ""
    assert stagnation.seen(counts, 230.0).startswith("100 % of the pushes are dropped: 7 in 30 s.")
    assert stagnation.seen(counts, 231.0) == "", "once is enough"
    assert stagnation.seen(counts, 270.0) == "", "nothing came, so nothing was dropped"
    counts.dropped = 8
    assert stagnation.seen(counts, 300.0) == ""
    assert stagnation.seen(counts, 340.0) == "", "one push, by workers that do something else"
    counts.dropped, counts.applied = 19, 1
    assert stagnation.seen(counts, 341.0) == "", "one was applied"


def test_a_call_whose_streams_always_break_is_given_up(monkeypatch, caplog):
    """Such as a push over a link that is slower than the ping that watches over it."""
    server = Server("127.0.0.1:0")
    client = Client([f"127.0.0.1:{server.port}"], 0, timeout_s=1.0)
    client.place(4, np.dtype("float32"))
    tries = []

    def breaks(request, sent, values):
        tries.append(request.call)
        raise stream.EndedError

    monkeypatch.setattr(client, "exchange", breaks)
    begin = time.monotonic()
    with pytest.raises(distrib.PeerLostError, match=r"one call \d+ times in 1 s.* Is a link slower"):
        client.push(pb.Push(), None, np.zeros(4, np.float32))
    assert 1 < time.monotonic() - begin < 3
    assert len(tries) > 2
    assert len(set(tries)) == 1, "the same call"
    assert "waits for the ps" in caplog.text
    client.close()
    server.close()


@pytest.mark.parametrize("num_ps", [1, 2])
def test_c17_a_job_that_drops_everything_says_so(monkeypatch, caplog, num_ps):
    """Of async only: in sync the first of every round count, whoever they are."""
    monkeypatch.setattr(StarvationWarning.__init__, "__defaults__", (0.2,))

    class Late(distrib.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            time.sleep(0.02)

    def body(strategy):
        # The version runs ahead of both: what they computed is always of an older one.
        return training(strategy, [Late()])

    push, began = Client.push, []

    def stale(self, message, gradient, values):
        told = len([1 for each in caplog.messages if "100 %" in each])
        if message.version > 5 and not told:
            message.version -= 5
            began.append(time.time())
        return push(self, message, gradient, values)

    monkeypatch.setattr(Client, "push", stale)
    results = on_workers(2, body, num_ps, mode="async", staleness=distrib.DropStale(3))
    told = [each for each in caplog.records if "100 % of the pushes are dropped" in each.getMessage()]
    assert told[0].created - began[0] < 0.2 + 2
    assert len(results) == 2, "it goes on when it can"


@pytest.mark.parametrize("num_ps", [1, 2])
def test_c19_a_worker_that_never_came_is_asked_for(monkeypatch, caplog, num_ps):
    assert stream.REMIND_EVERY_S == 10.0
    monkeypatch.setattr(stream, "REMIND_EVERY_S", 0.5)
    late, begin, told = threading.Event(), time.monotonic(), []

    def body(strategy):
        if strategy.replica_id == 1:
            assert late.wait(20)
        return training(strategy)

    def release():
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and "has waited" not in caplog.text:
            time.sleep(0.05)
        told.append(time.monotonic() - begin)
        late.set()

    helper = threading.Thread(target=release)
    helper.start()
    results = on_workers(2, body, num_ps)
    helper.join()
    assert told[0] < 3 + 2
    assert "worker 0 has waited" in caplog.text
    assert "are all started?" in caplog.text
    weights, _ = in_one_process(training)
    assert difference(results[0][0], weights) <= 1e-12


def described(num_workers, size=40):
    return {
        "size": size,
        "dtype": "float32",
        "optimizer": distrib.optimizers.SGD().get_config(),
        "learning_rate": 0.1,
        "penalties": [],
        "layout": [["dense/kernel", 0, size]],
        "rules": Rules("async", num_workers).get_config(),
        "ps": ["127.0.0.1:0"],
    }


def test_c20_more_workers_than_threads_are_refused():
    model_description(json.dumps(described(MAX_STREAMS - 1)))
    with pytest.raises(distrib.ConfigError, match=f"serves {MAX_STREAMS} workers"):
        model_description(json.dumps(described(MAX_STREAMS)))


def memory_of(pid, what):
    """What /proc says, in bytes."""
    return 1024 * int(Path(f"/proc/{pid}/status").read_text().partition(f"{what}:")[2].split()[0])


@pytest.mark.parametrize(("mode", "num_ps"), [("async", 1), ("sync", 2)])
def test_c25_many_pushes_at_once_take_a_bounded_memory(mode, num_ps):
    num_workers, size = 12, 1 << 20  # 4 MiB each
    command = [sys.executable, "-m", "distrib", "ps", "--no-shared-memory"]
    servers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(num_ps)]
    addresses = [ps.stdout.readline().split()[-1] for ps in servers]
    values, batch = np.zeros(size, np.float32), num_workers if mode == "sync" else 1
    phase = {"kind": "train", "num_examples": 60, "batch_size": batch, "steps_per_epoch": 60 // batch}
    model = described(num_workers, size) | {"ps": addresses, "rules": Rules(mode, num_workers).get_config()}
    clients = [Client(addresses, worker, share_memory=False) for worker in range(num_workers)]
    leases, done, failures = {}, [], []

    def at_once(body):
        def guarded(client):
            try:
                body(client)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=guarded, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not failures
        assert not any(thread.is_alive() for thread in threads)

    def begin(client):
        own = values.copy()
        client.place(size, np.dtype("float32"))
        client.register(0, model, own)
        leases[client] = client.begin(1, phase | {"num_sums": 4}, own).lease

    def push(client):
        message = pb.Push(phase=1, sequence=1, lease=leases[client], version=0, sums=[1.0, 0, 0, 0])
        done.append(client.push(message, np.ones(size, np.float32), np.empty(size, np.float32)).decision)

    at_once(begin)
    before = [memory_of(ps.pid, "VmRSS") for ps in servers]
    for ps in servers:
        Path(f"/proc/{ps.pid}/clear_refs").write_text("5")  # the peak is what there is now
    at_once(push)
    assert done == [pb.APPLIED] * num_workers
    for ps, least in zip(servers, before, strict=True):
        grown, share = memory_of(ps.pid, "VmHWM") - least, size * 4 // num_ps
        assert grown > num_workers * share, "they were not there at once"
        # A gradient from each, the values on their way to each, and some chunks: no second copy of either.
        assert grown < num_workers * (2 * share + 2 * CHUNK_BYTES), (
            f"{grown} bytes for {num_workers} of {share}"
        )
    for client in clients[1:]:
        client.close()
        client.leave()
    clients[0].close()
    clients[0].stop()
    for ps in servers:
        assert ps.wait(5) == 0
        ps.stdout.close()


@pytest.mark.parametrize("reason", ["", "the chief failed: KeyError()"])
def test_a_worker_that_is_late_at_the_end_is_told(reason):
    server = Server("127.0.0.1:0")
    waiting = threading.Thread(target=server.wait)
    waiting.start()
    cluster = {"chief": ["localhost:0"], "worker": ["localhost:0"], "ps": [f"127.0.0.1:{server.port}"]}
    strategies, trained, has_ended, outcome = {}, threading.Barrier(2), threading.Event(), []

    def work(job):
        resolver = distrib.cluster_resolver.SimpleClusterResolver(distrib.ClusterSpec(cluster), "", job, 0)
        strategy = strategies[job] = ParameterServerStrategy(resolver, mode="async", ps_timeout_s=20.0)
        with strategy.scope():
            training(strategy)
            trained.wait(20)
            if job == "chief":
                strategy.close(reason)
                has_ended.set()
                return
            assert has_ended.wait(20)
            try:
                training(strategy)
            except (SystemExit, distrib.PeerLostError) as end:
                outcome.append(end)

    threads = [threading.Thread(target=work, args=(job,)) for job in ("chief", "worker")]
    for thread in threads:
        thread.start()
    threads[0].join(30)
    begin = time.monotonic()
    threads[1].join(30)
    waiting.join(30)
    assert time.monotonic() - begin < 2
    assert not waiting.is_alive()
    strategies["worker"].close()
    if reason:
        assert reason in str(outcome[0])
    else:
        assert outcome[0].code == 0


def test_a_worker_between_two_streams_is_waited_for_at_the_end():
    server = Server("127.0.0.1:0")
    values, model = np.zeros(8, np.float32), described(2, 8)
    chief, worker = clients = [Client([f"127.0.0.1:{server.port}"], number) for number in range(2)]
    for client in clients:
        client.place(values.size, values.dtype)
        client.register(0, model, values.copy())
    worker.disconnect()
    deadline = time.monotonic() + 20
    while server.inspect().workers != (0,):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    chief.stop()
    assert server.has_ended.wait(20)
    assert not server.servicer.wait_for_workers(0.05)
    with pytest.raises(SystemExit) as end:
        worker.register(1, model, values.copy())
    assert end.value.code == 0
    assert server.servicer.wait_for_workers(20)
    worker.close()
    server.close()


@pytest.mark.parametrize("order", list(itertools.permutations(["chief", "worker", "ps"])), ids=" ".join)
def test_c30_roles_may_start_in_any_order(order, caplog):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cluster = {"chief": ["localhost:0"], "worker": ["localhost:0"], "ps": [f"127.0.0.1:{port}"]}
    results, strategies, servers = {}, [], []

    def work(job):
        resolver = distrib.cluster_resolver.SimpleClusterResolver(distrib.ClusterSpec(cluster), "", job, 0)
        strategy = ParameterServerStrategy(resolver, ps_timeout_s=20.0)
        strategies.append(strategy)
        with strategy.scope():
            results[job] = training(strategy)

    threads = []
    for role in order:
        if role == "ps":
            servers.append(Server(f"127.0.0.1:{port}"))
        else:
            threads.append(threading.Thread(target=work, args=(role,)))
            threads[-1].start()
        time.sleep(0.3)
    for thread in threads:
        thread.join(30)
    for strategy in strategies:
        strategy.close()
    assert servers[0].has_ended.wait(2.0)
    servers[0].close()
    weights, losses = in_one_process(training)
    for role in ("chief", "worker"):
        assert difference(results[role][0], weights) <= 1e-12
        np.testing.assert_allclose(results[role][1], losses, rtol=1e-9)
    if order[0] != "ps":
        assert "waits for the ps" in caplog.text


def test_d5_a_worker_with_another_cluster_is_refused():
    server = Server("127.0.0.1:0")
    address, failures = f"127.0.0.1:{server.port}", []

    def work(job, num_workers):
        cluster = {"chief": ["localhost:0"], "worker": ["localhost:0"] * num_workers, "ps": [address]}
        resolver = distrib.cluster_resolver.SimpleClusterResolver(distrib.ClusterSpec(cluster), "", job, 0)
        strategy = ParameterServerStrategy(resolver, ps_timeout_s=3.0)
        try:
            with strategy.scope():
                training(strategy)
        except distrib.DistribError as error:
            failures.append((job, str(error)))
        finally:
            strategy.close("it was refused" if job == "worker" else "")

    threads = [threading.Thread(target=work, args=each) for each in (("chief", 1), ("worker", 3))]
    threads[0].start()
    time.sleep(0.3)
    threads[1].start()
    threads[1].join(20)
    refused = dict(failures)["worker"]
    assert "not about to do what the chief does" in refused
    assert "num_workers (chief: 2, here: 4)" in refused
    server.end("the test has seen enough")
    server.close()
    threads[0].join(20)


def test_d3_a_chief_that_was_stopped_is_no_longer_it(tmp_path):
    """Another process takes its place; when it wakes, it is refused, ends, and saves nothing."""
    ps = subprocess.Popen(
        [sys.executable, "-m", "distrib", "ps", "--no-shared-memory"], stdout=subprocess.PIPE, text=True
    )
    address = ps.stdout.readline().split()[-1]
    task = {"cluster": {"chief": ["localhost:0"], "ps": [address]}, "task": {"type": "chief", "index": 0}}

    def chief(name):
        folder = tmp_path / name
        flags = ("--strategy", "ps-sync", "--epochs", "300", "--checkpoint-dir", folder)
        return folder, subprocess.Popen(
            [sys.executable, str(ROOT / "examples" / "train_images.py"), *map(str, flags)],
            env={**os.environ, "TF_CONFIG": json.dumps(task), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    folder, old = chief("old")
    while "Epoch 3/" not in old.stdout.readline():
        pass
    os.kill(old.pid, signal.SIGSTOP)
    stopped = time.monotonic()
    _, new = chief("new")
    seen = ""
    while "Epoch 2/" not in seen:
        line = new.stdout.readline()
        assert line, seen
        seen += line
    assert time.monotonic() - stopped > 1, "it did not wait for the end of the one before"
    saved = sorted(path.name for path in folder.glob("[!.]*"))
    os.kill(old.pid, signal.SIGCONT)
    woken = time.monotonic()
    output, _ = old.communicate(timeout=10)
    assert time.monotonic() - woken < 1.5, "1 s, and some for a machine that is busy"
    assert old.returncode == 75
    assert re.search("PeerLostError: .*was started again since", output)
    assert sorted(path.name for path in folder.glob("[!.]*")) == saved
    new.kill()
    new.communicate()
    ps.kill()
    ps.communicate()
