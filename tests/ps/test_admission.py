"""Backup workers: nobody waits for a slow one, and what it brings late is in no update."""

import itertools
import random
import statistics
import threading
import time
from collections import defaultdict

import numpy as np
import pytest
from helpers.ps import nothing_is_staged, on_workers
from helpers.ps_calls import RATE, Calls, until
from helpers.replay import replayed

import distrib
from distrib.base.ranges import split
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.identity import PushId
from distrib.ps.policy.order.command_log import Apply
from distrib.ps.server.state_machine import StateMachine

FAST_S, SLOW_S = 0.05, 0.2
STRAGGLER = 2


class Pace(distrib.callbacks.Callback):
    """Sleeps before every batch, and notes when it begins."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.begun = seconds, []

    def on_train_batch_begin(self, batch, logs=None):
        self.begun.append(time.monotonic())
        time.sleep(self.seconds)


def step_of(seconds, backups, steps):
    """Median of the times of the chief's steps, and its counters, where these workers sleep so long."""
    examples = 2 * (len(seconds) - backups)  # 2 for each of a round, whoever takes part

    def body(strategy):
        model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(3,))])
        model.compile("sgd", "mse")
        pace = Pace(seconds[strategy.replica_id])
        x = np.ones((examples * steps, 3))
        model.fit(x, x[:, :1], batch_size=examples, epochs=1, verbose=0, callbacks=[pace])
        took = [after - before for before, after in itertools.pairwise(pace.begun)]
        return statistics.median(took), strategy.counters

    return on_workers(len(seconds), body, num_backup_workers=backups)[0]


def test_over_real_servers_a_backup_worker_makes_up_for_a_slow_one():
    """4 workers, one slowed 4 times. docs/benchmarks.md has the figures of a quiet machine."""
    equal = [FAST_S] * 4
    uneven = [SLOW_S if worker == STRAGGLER else FAST_S for worker in range(4)]
    usual, _ = step_of(equal, backups=0, steps=6)
    waited, _ = step_of(uneven, backups=0, steps=4)
    helped, counters = step_of(uneven, backups=1, steps=8)
    assert usual < SLOW_S / 2
    assert helped < SLOW_S / 2, "the slow one was waited for"
    assert waited > 0.9 * SLOW_S
    assert counters["workers"][str(STRAGGLER)]["applied"] <= 2
    assert counters["pushed"] == counters["applied"] + counters["dropped"]
    assert counters["examples"] == 8 * 6
    assert counters["effective_batch"] == pytest.approx(8 * 6 / counters["updates"])


class Rounds(Calls):
    """Sync with two of three workers; every push has a gradient of its own, and is noted, as are the updates.

    Attributes:
        pushed: lease, version and number of examples of every push.
        updates: of every ps.
        delays: fewest and most seconds before a push of every worker.
    """

    def __init__(self, num_ps):
        super().__init__("sync", num_ps, num_workers=3)
        self.rules = Rules("sync", 3, num_backup_workers=1)
        self.pushed, self.updates = {}, defaultdict(list)
        self.delays, self._random = {}, random.Random(5)

    def gradient(self, answer):
        return np.random.default_rng([7, answer.lease]).normal(size=self.size).astype(np.float32)

    def push(self, client, answer, sequence):
        push = PushId(client.worker, client.incarnation, sequence)
        self.pushed[push] = answer.lease, answer.version, answer.end - answer.begin
        time.sleep(self._random.uniform(*self.delays.get(client.worker, (0, 0))))
        return super().push(client, answer, sequence)

    def replay(self, ps):
        """What this ps keeps, from the log of ps:0."""

        def gradient(push):
            lease, _, _ = self.pushed[push]
            return self.gradient(pb.Answer(lease=lease))

        return replayed(self.updates[0], split(self.size, len(self.servers))[ps], gradient)


@pytest.fixture
def rounds(request, monkeypatch):
    execute = StateMachine.execute

    def note(state, entry):
        execute(state, entry)
        if isinstance(entry, Apply):
            made.updates[state.shard.index].append(entry)

    monkeypatch.setattr(StateMachine, "execute", note)
    with Rounds(request.param) as made:
        yield made


class Held:
    """What a client sends to one ps, until it is let go."""

    def __init__(self, stream):
        self._stream, self._send, self._frames = stream, stream.send, []
        stream.send = self._frames.append

    def let_go(self):
        self._stream.send = self._send
        for frame in self._frames:
            self._send(frame)


@pytest.mark.parametrize(
    ("rounds", "held"),
    [(1, [0]), (2, [0, 1]), (2, [0]), (2, [1])],
    ids=["1 ps", "2 ps", "2 ps, ps:1 has it in time", "2 ps, ps:0 has it in time"],
    indirect=["rounds"],
)
def test_c18_what_comes_after_its_round_is_in_no_update(rounds, held):
    workers = [rounds.client(worker) for worker in range(3)]
    for client in workers:
        rounds.register(client)
    answers = [rounds.begin(client) for client in workers]
    assert all(answer.has_lease and answer.version == 0 for answer in answers)

    def push(worker):
        answers[worker] = rounds.push(workers[worker], answers[worker], 1)

    threads = [threading.Thread(target=push, args=(worker,)) for worker in range(3)]
    late = PushId(2, workers[2].incarnation, 1)
    holding = [Held(workers[2].streams[ps]) for ps in held]
    threads[2].start()
    in_time = [server for ps, server in enumerate(rounds.servers) if ps not in held]
    until(
        lambda: all(late in server.inspect().waiting for server in in_time),
        "it has come where it is not held",
    )
    for thread in threads[:2]:
        thread.start()
    for thread in threads[:2]:
        thread.join(10)
    until(lambda: all(shard.version == 1 for shard in rounds.shards), "the first round is closed")
    assert threads[2].is_alive()
    before = rounds.values().tobytes()
    for each in holding:
        each.let_go()
    threads[2].join(10)  # the same call is answered

    assert answers[2].decision == pb.DROPPED
    assert answers[2].why == "the round is closed"
    assert (answers[2].staleness, answers[2].version) == (1, 1)
    assert answers[2].has_lease, "it takes part in the next round"
    assert rounds.values().tobytes() == before
    assert rounds.sequencer.members[2].counts.dropped == rounds.sequencer.counts.dropped == 1
    nothing_is_staged(rounds.servers)

    # The rest of the epoch, with one that is mostly too late.
    rounds.delays = {0: (0, 0.003), 1: (0, 0.003), 2: (0.01, 0.02)}
    rounds.finish([(client, answer, 1) for client, answer in zip(workers, answers, strict=True)])
    updates = rounds.updates[0]
    until(lambda: all(shard.version == len(updates) for shard in rounds.shards), "all have all")
    nothing_is_staged(rounds.servers)
    applied = [push for entry in updates for push in entry.pushes]
    assert late not in applied
    assert len(set(applied)) == len(applied)
    left = 50
    for entry in updates:
        of_round = [rounds.pushed[push] for push in entry.pushes]
        assert [version for _, version, _ in of_round] == [entry.version - 1] * min(2, left)
        assert entry.scale == 1 / sum(count for _, _, count in of_round)
        assert entry.learning_rate == RATE
        left -= sum(count for _, _, count in of_round)
    assert left == 0
    counts = rounds.sequencer.counts
    assert (counts.pushed, counts.applied) == (len(rounds.pushed), len(applied))
    assert counts.dropped == counts.pushed - counts.applied > 1
    for ps in range(len(rounds.servers)):
        assert rounds.updates[ps] == updates
        assert rounds.shards[ps].values.tobytes() == rounds.replay(ps).tobytes()
