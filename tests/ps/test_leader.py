"""Three real ps and workers that push vectors: what one ps applies, all apply, also when a worker dies in a push."""

import threading
import time
from collections import defaultdict

import numpy as np
import pytest
from helpers.ps import nothing_is_staged
from helpers.replay import replayed

from distrib.base.ranges import split
from distrib.nn.optimizers import SGD
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.client.client import Client
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.identity import PushId
from distrib.ps.policy.order.command_log import Apply
from distrib.ps.server.server import Server
from distrib.ps.server.state_machine import StateMachine
from distrib.ps.wire.framing import Frame

SIZE, NUM_PS, NUM_EXAMPLES = 1000, 3, 60
PHASE = {"kind": "train", "num_examples": NUM_EXAMPLES, "batch_size": 4, "steps_per_epoch": 15, "num_sums": 4}


def gradient(push):
    return np.random.default_rng([*push]).normal(size=SIZE).astype(np.float32)


class Job:
    """A job of two workers around three ps.

    Attributes:
        servers: the ps.
        logs: the updates of every ps, in their order; each executes them after random delays.
        apart: how often one had executed more than another.
        num_examples: what was in each push.
    """

    def __init__(self, mode):
        self.servers = [Server("127.0.0.1:0") for _ in range(NUM_PS)]
        self.addresses = [f"127.0.0.1:{server.port}" for server in self.servers]
        self.mode, self.logs, self.num_examples, self.apart = mode, defaultdict(list), {}, 0
        self.is_back = threading.Event()

    def work(self, worker, dies_in=0, got=()):
        """Push to the end; or die in a push that some ps have `got`, whose name is returned.

        The chief waits in its fifth push until the other worker is back: otherwise it might do everything alone.
        """
        is_back = worker == 1 and not dies_in
        client = Client(self.addresses, worker, connect_timeout_s=10.0, share_memory=False)
        values = np.zeros(SIZE, np.float32)
        client.place(SIZE, values.dtype)
        description = {
            "size": SIZE,
            "dtype": "float32",
            "optimizer": SGD(0.01).get_config(),
            "learning_rate": 0.01,
            "penalties": [],
            "layout": [["vector", 0, SIZE]],
            "rules": Rules(self.mode, 2).get_config(),
            "ps": self.addresses,
        }
        client.register(0, description, values)
        if is_back and self.mode == "sync":  # from now on it is waited for in every round
            self.is_back.set()
        answer, sequence = client.begin(1, PHASE, values), 0
        while answer.has_lease:
            sequence += 1
            push = PushId(worker, client.incarnation, sequence)
            self.num_examples[push] = answer.end - answer.begin
            message = pb.Push(
                phase=1,
                sequence=sequence,
                lease=answer.lease,
                version=answer.version,
                sums=[answer.end - answer.begin, 0, 0, 0],
            )
            if sequence == dies_in:
                self._push_to(client, message, push, got)
                break
            if worker == 0 and sequence == 5:
                assert self.is_back.wait(10)
            answer = client.push(message, gradient(push), values)
            if is_back:
                self.is_back.set()
        client.close()
        return push

    def _push_to(self, client, message, push, got):
        client.last_call += 1
        for ps in got:
            mine = gradient(push)[client.parts[ps].slice]
            head = pb.WorkRequest(call=client.last_call, push=message, last=True)
            client.streams[ps].send(Frame(head, 0, mine.view(np.uint8).data))
        deadline = time.monotonic() + 5
        while not all(push in self.servers[ps].inspect().waiting for ps in got):
            assert time.monotonic() < deadline, "the fault never fired"
            time.sleep(0.001)

    def replay(self, ps):
        """What this ps keeps, from the log of ps:0."""
        return replayed(self.logs[0], split(SIZE, NUM_PS)[ps], gradient)


@pytest.fixture
def job(request, monkeypatch):
    execute, delays = StateMachine.execute, np.random.default_rng(5)

    def note(state, entry):
        time.sleep(delays.uniform(0, 0.002))
        execute(state, entry)
        if isinstance(entry, Apply):
            made.logs[state.shard.index].append(entry)
            made.apart += len({len(log) for log in made.logs.values()}) > 1

    monkeypatch.setattr(StateMachine, "execute", note)
    made = Job(request.param)
    yield made
    for server in made.servers:
        server.close()


@pytest.mark.parametrize("got", [(0,), (0, 1), (1, 2), (2,)])
@pytest.mark.parametrize("job", ["sync", "async"], indirect=True)
def test_what_only_some_ps_have_of_a_dead_worker_is_on_none(job, got):
    """A worker dies between two of them, and comes back as a new process."""
    torn = []

    def die_and_come_back():
        torn.append(job.work(1, dies_in=3, got=got))
        job.work(1)

    threads = [threading.Thread(target=job.work, args=(0,)), threading.Thread(target=die_and_come_back)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    nothing_is_staged(job.servers)
    logs = [job.logs[ps] for ps in range(NUM_PS)]
    assert logs[0] == logs[1] == logs[2]
    assert job.apart > len(logs[0]), "the delays did nothing"
    applied = [push for entry in logs[0] for push in entry.pushes]
    assert torn[0] not in applied
    assert len(applied) == len(set(applied))
    assert sum(job.num_examples[push] for push in applied) == NUM_EXAMPLES
    assert len({push.incarnation for push in applied}) == 3, "chief, the worker, and its successor"
    for ps, server in enumerate(job.servers):
        values = server.inspect().values
        assert values.tobytes() == job.replay(ps).tobytes()
        assert np.abs(values).max() > 0
