"""One of several ps that is frozen for a while, or killed: waited for, or given up at once."""

import os
import select
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from helpers.ps import on_workers, worker_of
from helpers.replicas import difference, in_one_process
from ps.test_checkpoint_coordinator import Versions, training

import distrib
from distrib.base.errors import ProtocolError
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.policy.order.command_log import Pull
from distrib.ps.policy.order.shard import Shard
from distrib.ps.server.worker_session import WorkerSession, WorkerSessions
from distrib.ps.wire.outbox import Outbox
from distrib.strategies.parameter_server import ParameterServerStrategy


class Job:
    """Two ps as processes, and two workers as threads, which stand still after 12 updates until they are released."""

    def __init__(self, mode, *flags):
        self.ps = [
            subprocess.Popen(
                [sys.executable, "-m", "distrib", "ps", *flags],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for _ in range(2)
        ]
        addresses = tuple(each.stdout.readline().split()[-1] for each in self.ps)
        self.versions, self.results, self.errors, self.strategies = Versions(hold_at=12), {}, {}, {}

        def work(worker):
            self.strategies[worker] = ParameterServerStrategy(worker_of(worker, 2, addresses), mode)
            try:
                with self.strategies[worker].scope():
                    self.results[worker] = training(
                        self.strategies[worker], callbacks=[] if worker else [self.versions]
                    )
            except Exception as error:
                self.errors[worker] = error

        self._threads = [threading.Thread(target=work, args=(worker,)) for worker in range(2)]
        for thread in self._threads:
            thread.start()
        deadline = time.monotonic() + 20
        while not self.versions.acknowledged or self.versions.acknowledged[-1] < 12:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def said_by(self, ps, words):
        """What a ps has printed, as soon as there are these words in it."""
        pipe, said, deadline = self.ps[ps].stdout.fileno(), "", time.monotonic() + 20
        while words not in said:
            left = deadline - time.monotonic()
            assert left > 0, f"ps:{ps} has not said it: {said}"
            if select.select([pipe], [], [], left)[0]:
                said += os.read(pipe, 4096).decode()
        return said

    def ended(self):
        """Exit codes and outputs of the ps, when all has ended."""
        self.versions.released.set()
        for thread in self._threads:
            thread.join(40)
        for strategy in self.strategies.values():
            strategy.close()
        outputs = [each.communicate(timeout=20)[0] for each in self.ps]
        return [each.returncode for each in self.ps], outputs

    def give_up(self):
        """End what is left of a job whose ps have ended."""
        for strategy in self.strategies.values():
            strategy.close()
        self.versions.released.set()
        for thread in self._threads:
            thread.join(20)
        for each in self.ps:
            each.wait(5)
            each.stdout.close()


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("when", ["all wait", "all train"])
def test_one_that_is_frozen_for_some_seconds_is_waited_for(victim, mode, when):
    job = Job(mode)
    if when == "all train":
        job.versions.released.set()
    os.kill(job.ps[victim].pid, signal.SIGSTOP)
    begin = time.monotonic()
    noticed = job.said_by(1 - victim, "is waited for, up to 30 s")
    time.sleep(max(0.0, begin + 5 - time.monotonic()))  # the workers notice it, too
    assert not job.results, "the fault came too late"
    assert all(each.poll() is None for each in job.ps)
    os.kill(job.ps[victim].pid, signal.SIGCONT)
    codes, outputs = job.ended()
    outputs[1 - victim] = noticed + outputs[1 - victim]
    assert not job.errors
    assert codes == [0, 0], outputs
    assert f"ps:{victim} at 127.0.0.1:" in outputs[1 - victim]
    assert "does not answer, and is waited for, up to 30 s" in outputs[1 - victim]
    assert f"ps:{victim} is back" in outputs[1 - victim]
    if mode == "sync":
        expected, history = in_one_process(training)
        assert difference(job.results[0][0], expected) <= 1e-12
        np.testing.assert_allclose(job.results[0][1]["loss"], history["loss"], rtol=1e-9)


@pytest.mark.parametrize("victim", [0, 1])
def test_one_that_is_frozen_for_longer_is_given_up(victim):
    job = Job("sync", "--ps-timeout", "3")
    os.kill(job.ps[victim].pid, signal.SIGSTOP)
    begin = time.monotonic()
    output, _ = job.ps[1 - victim].communicate(timeout=20)
    assert 3 < time.monotonic() - begin < 11, "seen, and waited for"
    assert f"ps:{victim} is lost: it has not answered for 3 s" in output.splitlines()[-1]
    assert job.ps[1 - victim].returncode == 75
    os.kill(job.ps[victim].pid, signal.SIGKILL)
    job.give_up()


@pytest.mark.parametrize("victim", [0, 1])
def test_one_that_is_killed_is_not_waited_for(victim):
    job = Job("sync")
    os.kill(job.ps[victim].pid, signal.SIGKILL)
    begin = time.monotonic()
    output, _ = job.ps[1 - victim].communicate(timeout=20)
    assert time.monotonic() - begin < 6
    assert f"ps:{victim} is lost." in output.splitlines()[-1]
    assert job.ps[1 - victim].returncode == 75
    job.give_up()


def test_an_outbox_goes_on_behind_what_has_arrived():
    outbox = Outbox()
    for number in range(5):
        outbox.put(number)
    first = outbox.stream(0)
    assert [next(first) for _ in range(4)] == [0, 1, 2, 3]
    outbox.acknowledge(2)
    second = outbox.stream(3)  # the other side has one more than it had said
    assert list(first) == [], "a new stream ends the one before"
    assert [next(second), next(second)] == [3, 4]
    outbox.put(5)
    assert next(second) == 5
    outbox.end_stream()
    assert list(second) == []
    third = outbox.stream(6)
    outbox.put(6)
    outbox.close()
    assert list(third) == [6], "what was put before the end"
    for count, words in ((5, "was it started again"), (8, "at most 7")):
        with pytest.raises(ProtocolError, match=words):
            outbox.stream(count)


def test_a_stream_waits_for_messages():
    outbox, got = Outbox(), []
    stream = outbox.stream(0)
    thread = threading.Thread(target=lambda: got.extend(stream))
    thread.start()
    outbox.put("a")
    outbox.put("b")
    outbox.close()
    thread.join(5)
    assert got == ["a", "b"]


def test_a_late_answer_to_a_former_stream_is_none_to_the_next():
    """A ps that was frozen executes its log late, when a worker has opened another stream, and asks again."""
    hello = pb.Hello(worker=1, incarnation=5, ps=1, num_ps=2, num_elements=8, dtype="float32")
    shard = Shard(1, 2)
    shard.values = np.ones(4, np.float32)
    sessions, session = WorkerSessions(), WorkerSession(hello, False, last_call=3)
    sessions.join(session)
    sessions.pull(Pull(1, 3, 12), shard)
    assert session.outbox.empty()
    sessions.pull(Pull(1, 4, 12), shard)
    assert session.outbox.get().call == 4


def test_what_is_kept_for_another_ps_does_not_grow():
    """In an evaluation, too, where no gradient arrives that would say how far the other ps is."""
    kept = []

    def body(strategy):
        model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(3,))])
        model.compile("sgd", "mse")
        x, y = np.ones((3000, 3)), np.zeros((3000, 1))
        model.fit(x[:8], y[:8], batch_size=4, epochs=1, verbose=0)
        model.evaluate(x, y, batch_size=1, verbose=0)
        model.fit(x, y, batch_size=1, epochs=1, verbose=0)

    def look(servers):
        kept.append((servers[0].inspect().num_queued[1], servers[0].inspect().sequencer.version))

    on_workers(1, body, num_ps=2, look=look)
    ((now, before),) = kept
    assert before > 3000
    assert now < 600


def test_a_worker_that_opens_its_streams_anew_is_waited_for():
    """The others do no round without it meanwhile."""
    cut = []

    class Cut(distrib.callbacks.Callback):
        def __init__(self, strategy):
            super().__init__()
            self._strategy = strategy

        def on_train_batch_end(self, batch, logs=None):
            if self._strategy.replica_id == 1 and batch == 2:
                self._strategy.client.disconnect()
                time.sleep(0.5)
                cut.append(batch)

    results = on_workers(2, lambda strategy: training(strategy, callbacks=[Cut(strategy)]), num_ps=2)
    expected, history = in_one_process(training)
    assert len(cut) == 6, "a cut in every epoch"
    assert difference(results[0][0], expected) <= 1e-12
    np.testing.assert_allclose(results[0][1]["loss"], history["loss"], rtol=1e-9)
