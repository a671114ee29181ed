"""C18: with a backup worker, what comes after its round is closed is in no update: the log, replayed, says so."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest
from helpers.ps import nothing_is_staged
from helpers.ps_calls import PHASE, SIZE, Calls, until
from helpers.replay import replayed

from distrib.base.ranges import split
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.identity import PushId
from distrib.ps.policy.order.command_log import Apply
from distrib.ps.server.state_machine import StateMachine

NUM_WORKERS, NUM_BACKUPS, ROUNDS, NUM_EXAMPLES = 3, 1, 12, 100
TOGETHER = NUM_WORKERS - NUM_BACKUPS


def gradient(push):
    return np.random.default_rng([*push]).normal(size=SIZE).astype(np.float32)


class Job:
    """Three workers, whose pushes come in the order that the test wants.

    Attributes:
        calls: the servers.
        logs: of every ps, its updates.
        from_version: of every push, that of the values it was computed from.
        spans: of every push, its examples.
    """

    def __init__(self, calls, threads):
        calls.rules = Rules("sync", NUM_WORKERS, num_backup_workers=NUM_BACKUPS)
        self.calls, self.logs, self.from_version, self.spans = calls, {}, {}, {}
        self.clients = [calls.client(worker) for worker in range(NUM_WORKERS)]
        self.sequence = [0] * NUM_WORKERS
        self._threads = [threads.enter_context(ThreadPoolExecutor(1)) for _ in range(NUM_WORKERS)]
        phase = PHASE | {"num_examples": NUM_EXAMPLES, "steps_per_epoch": NUM_EXAMPLES // PHASE["batch_size"]}
        for client in self.clients:
            calls.register(client)
        self.leases = [client.begin(1, phase, np.empty(SIZE, np.float32)) for client in self.clients]

    def push(self, worker):
        """Push what this worker has; returns the push, when it has come, and the answer, which may come later."""
        self.sequence[worker] += 1
        push = PushId(worker, self.clients[worker].incarnation, self.sequence[worker])
        answer = self.leases[worker]
        self.from_version[push], self.spans[push] = answer.version, range(answer.begin, answer.end)
        message = self.calls.message(answer, push.sequence)
        later = self._threads[worker].submit(
            self.clients[worker].push, message, gradient(push), np.empty(SIZE, np.float32)
        )
        until(lambda: self.calls.sequencer.members[worker].sequence == push.sequence, "the push has come")
        return push, later

    def answered(self, worker, later):
        """The answer to the last push of this worker."""
        self.leases[worker] = later.result(5)
        return self.leases[worker]

    def replay(self):
        """The values after the log of ps:0, from the gradients that are in it and no others."""
        log, parts = self.logs[0], split(SIZE, len(self.calls.servers))
        return np.concatenate([replayed(log, part, gradient) for part in parts])

    def has_replayed(self, version):
        """What all ps keep is what the replay gives, bit for bit."""
        until(lambda: all(shard.version == version for shard in self.calls.shards), f"version {version}")
        assert self.calls.values().tobytes() == self.replay().tobytes()


@pytest.fixture(params=[1, 2], ids=["1 ps", "2 ps"])
def job(request, monkeypatch):
    execute, logs = StateMachine.execute, {}

    def note(state, entry):
        if isinstance(entry, Apply):
            logs.setdefault(state.shard.index, []).append(entry)
        execute(state, entry)

    monkeypatch.setattr(StateMachine, "execute", note)
    with ExitStack() as stack:
        threads = stack.enter_context(ExitStack())
        made = Job(stack.enter_context(Calls("sync", request.param, NUM_WORKERS)), threads)
        made.logs = logs
        yield made


def test_c18_a_late_gradient_of_a_closed_round_is_dropped_and_in_no_other_round(job):
    """In each round another one is late; its gradient comes when the next round is empty, or waits for one more."""
    draw, dropped, waiting, empty = random.Random(3), [], {}, 0
    for version in range(1, ROUNDS + 1):
        late = draw.choice([worker for worker in range(NUM_WORKERS) if worker not in waiting])
        for worker in draw.sample(range(NUM_WORKERS), NUM_WORKERS):
            if worker != late and worker not in waiting:
                waiting[worker] = job.push(worker)[1]
        for worker, later in waiting.items():
            answer = job.answered(worker, later)
            assert (answer.decision, answer.version, answer.has_lease) == (pb.APPLIED, version, True)
        on_time, waiting = list(waiting), {}
        job.has_replayed(version)
        if draw.random() < 0.6:
            first = draw.choice(on_time)
            waiting[first] = job.push(first)[1]
        else:
            empty += 1
        push, later = job.push(late)
        dropped.append(push)
        answer = job.answered(late, later)
        assert (answer.decision, answer.version) == (pb.DROPPED, version), "it is told in the same call"
        assert answer.why == "the round is closed"
        assert not any(later.done() for later in waiting.values()), "the next round is open still"
        job.has_replayed(version)
    assert 0 < empty < ROUNDS

    def finish(worker):
        if worker in waiting:
            job.answered(worker, waiting[worker])
        while job.leases[worker].has_lease:
            job.answered(worker, job.push(worker)[1])

    with ThreadPoolExecutor(NUM_WORKERS) as pool:
        list(pool.map(finish, range(NUM_WORKERS), timeout=20))
    nothing_is_staged(job.calls.servers)
    log, *others = job.logs.values()
    assert all(other == log for other in others)
    job.has_replayed(len(log))
    applied = [push for entry in log for push in entry.pushes]
    assert not set(dropped) & set(applied)
    counts = job.calls.sequencer.counts
    assert (counts.applied, counts.dropped) == (len(applied), len(job.spans) - len(applied))
    for entry in log:
        assert {job.from_version[push] for push in entry.pushes} == {entry.version - 1}, "of that round"
    for entry in log[:-1]:
        assert len({push.worker for push in entry.pushes}) == len(entry.pushes) == TOGETHER
    assert sorted(at for push in applied for at in job.spans[push]) == list(range(NUM_EXAMPLES))
