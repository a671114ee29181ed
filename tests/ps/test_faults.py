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
from distrib.ps import stream
from distrib.ps.client import Client
from distrib.ps.counts import Counts
from distrib.ps.description import model_description
from distrib.ps.options import CHUNK_BYTES, MAX_STREAMS
from distrib.ps.rules import Rules
from distrib.ps.saver import Checkpoints
from distrib.ps.server import Server
from distrib.ps.stagnation import Stagnation
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


def test_c7_a_ps_is_killed_while_a_worker_starts_again(tmp_path):
    saved = Checkpoints(tmp_path, every=4)
    server = Server("127.0.0.1:0", checkpoints=saved)
    address = f"127.0.0.1:{server.port}"
    results, strategies, dead = {}, [], threading.Event()

    class Die(Pause):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def work(worker, name, callback):
        strategy = ParameterServerStrategy(worker_of(worker, 2, (address,)), ps_timeout_s=20.0)
        strategies.append(strategy)
        try:
            with strategy.scope():
                results[name] = training(strategy, [callback])
        except KeyboardInterrupt:
            strategy._client.close()  # as by SIGKILL: it says nothing
            dead.set()

    threads = [
        threading.Thread(target=work, args=arguments)
        for arguments in ((0, "chief", Pause()), (1, "old", Die()))
    ]
    for thread in threads:
        thread.start()
    assert dead.wait(20), "the worker did not die"
    server.close()
    assert not results, "the fault came too late"
    threads.append(threading.Thread(target=work, args=(1, "new", Pause())))
    threads[-1].start()
    time.sleep(0.3)
    server = Server(address, checkpoints=saved._replace(restore=True))
    for thread in threads:
        thread.join(40)
    assert set(results) == {"chief", "new"}
    for strategy in strategies:
        strategy.close()
    assert server.ended_within(2.0)
    server.close()
    weights, losses = in_one_process(training)
    assert difference(results["chief"][0], weights) <= 1e-12
    np.testing.assert_allclose(results["chief"][1], losses, rtol=1e-9)


HOLDS_THE_GIL = """
import ctypes, sys, threading, time
from distrib.cli import main

def hold():
    sys.stdin.readline()
    print("holding", file=sys.stderr, flush=True)
    ctypes.PyDLL(None).sleep(4)

threading.Thread(target=hold, daemon=True).start()
sys.exit(main(["ps", "--address", "127.0.0.1:0", "--no-shared-memory"]))
"""


def test_c14_a_ps_that_is_busy_for_seconds_is_not_taken_for_dead(caplog):
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    ps = subprocess.Popen([sys.executable, "-c", HOLDS_THE_GIL], text=True, **pipes)
    address = ps.stdout.readline().split()[-1]
    longest = 0.0

    class Watch(Pause):
        def on_train_batch_begin(self, batch, logs=None):
            nonlocal longest
            longest = max(longest, time.monotonic() - self.last)

        def on_train_batch_end(self, batch, logs=None):
            self.last = time.monotonic()

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                print(file=ps.stdin, flush=True)
                time.sleep(0.3)

    watch = Watch()
    watch.last = time.monotonic()
    strategy = ParameterServerStrategy(worker_of(0, 1, (address,)), share_memory=False)
    with strategy.scope():
        weights, losses = training(strategy, [watch])
    strategy.close()
    assert ps.wait(5) == 0
    assert "holding" in ps.stderr.read()
    for pipe in (ps.stdin, ps.stdout, ps.stderr):
        pipe.close()
    assert longest > 3, "the ps was not busy"
    assert "waits for the ps" not in caplog.text
    expected_weights, expected_losses = in_one_process(training)
    assert difference(weights, expected_weights) <= 1e-12
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-9)


def test_c17_it_is_told_when_all_pushes_are_dropped():
    stagnation, counts = Stagnation(), Counts()
    assert stagnation.seen(counts, 100.0) == ""
    counts.dropped = 7
    assert stagnation.seen(counts, 129.9) == ""
    assert stagnation.seen(counts, 130.0).startswith("100 % of the pushes are dropped: 7 in 30 s.")
    assert stagnation.seen(counts, 131.0) == "", "once is enough"
    assert stagnation.seen(counts, 170.0) == "", "nothing came, so nothing was dropped"
    counts.dropped, counts.applied = 9, 1
    assert stagnation.seen(counts, 171.0) == "", "one was applied"


def test_c17_a_job_that_drops_everything_says_so(monkeypatch, caplog):
    monkeypatch.setattr(Stagnation.__init__, "__defaults__", (0.2,))

    class Late(distrib.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            time.sleep(0.02)

    def body(strategy):
        # The version runs ahead of both: what they computed is always of an older one.
        return training(strategy, [Late()])

    push = Client.push

    def stale(self, message, gradient, values):
        told = len([1 for each in caplog.messages if "100 %" in each])
        message.version = max(0, message.version - (5 if message.version > 5 and not told else 0))
        return push(self, message, gradient, values)

    monkeypatch.setattr(Client, "push", stale)
    on_workers(2, body, mode="async", staleness=distrib.DropStale(3))
    assert any("100 % of the pushes are dropped" in each for each in caplog.messages)


def test_c19_a_worker_that_never_came_is_asked_for(monkeypatch, caplog):
    monkeypatch.setattr(stream, "_REMIND_EVERY_S", 0.5)
    late = threading.Event()

    def body(strategy):
        if strategy.replica_id == 1:
            assert late.wait(20)
        return training(strategy)

    def release():
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and "has waited" not in caplog.text:
            time.sleep(0.05)
        late.set()

    helper = threading.Thread(target=release)
    helper.start()
    results = on_workers(2, body)
    helper.join()
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


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_c25_many_pushes_at_once_take_a_bounded_memory():
    num_workers, size = 12, 2 << 20  # 8 MiB each
    ps = subprocess.Popen(
        [sys.executable, "-m", "distrib", "ps", "--no-shared-memory"], stdout=subprocess.PIPE, text=True
    )
    address = ps.stdout.readline().split()[-1]
    values = np.zeros(size, np.float32)
    stage = {"kind": "train", "num_examples": 50, "batch_size": 1, "steps_per_epoch": 50, "num_sums": 4}
    clients = [Client([address], worker, share_memory=False) for worker in range(num_workers)]
    leases = []
    for client in clients:
        client.place(size, np.dtype("float32"))
        client.register(0, described(num_workers, size), values.copy())
        leases.append(client.begin(1, stage, values.copy()).lease)
    before, peak, done = resident(ps.pid), 0, []

    def push(client, lease):
        message = pb.Push(stage=1, sequence=1, lease=lease, version=0, tally=[1.0, 0, 0, 0])
        done.append(client.push(message, np.ones(size, np.float32), np.empty(size, np.float32)).decision)

    threads = [threading.Thread(target=push, args=each) for each in zip(clients, leases, strict=True)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, resident(ps.pid))
        time.sleep(0.002)
    assert done == [pb.APPLIED] * num_workers
    # A gradient for each, the values on their way to each, and some chunks.
    bound = num_workers * (2 * size * 4 + 5 * CHUNK_BYTES)
    assert peak - before < bound, f"{peak - before} bytes for {num_workers} pushes of {size * 4}"
    clients[0].stop()
    for client in clients:
        client.close()
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
    assert servers[0].ended_within(2.0)
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
    assert old.returncode == 1, "Python's own; under `distrib launch` it is 75"
    assert re.search("PeerLostError: .*was started again since", output)
    assert sorted(path.name for path in folder.glob("[!.]*")) == saved
    new.kill()
    new.communicate()
    ps.kill()
    ps.communicate()
