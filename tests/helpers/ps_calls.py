"""Calls around real servers without a model: late ones, wrong ones, in an order that a test decides."""

import threading
import time
from unittest import mock

import numpy as np

import distrib
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.client.client import Client
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.server import servicer
from distrib.ps.server.server import Server
from distrib.ps.server.server_options import ServerOptions
from distrib.ps.server.worker_session import WorkerSession
from distrib.ps.wire.codec import lease_of
from distrib.ps.wire.framing import Frame

SIZE, RATE = 40, 0.1
PHASE = {"kind": "train", "num_examples": 50, "batch_size": 5, "steps_per_epoch": 10, "num_sums": 4}


def until(condition, what, deadline_s=10.0):
    """Wait until a condition holds."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.002)


class Calls:
    """Real servers, and clients that say what the test wants. Gradients are ones, so an update subtracts the rate.

    Attributes:
        sessions: the workers' streams, as the ps have opened them.
    """

    def __init__(self, mode, num_ps, num_workers=1, size=SIZE, start_timeout_s=60.0, read_timeout_s=60.0):
        self.num_workers, self.size = num_workers, size
        self.servers = [
            Server("127.0.0.1:0", ServerOptions(read_timeout_s=read_timeout_s)) for _ in range(num_ps)
        ]
        self.addresses = [f"127.0.0.1:{server.port}" for server in self.servers]
        self.rules = Rules(mode, num_workers, start_timeout_s=start_timeout_s)
        self.clients, self.sessions = [], []
        self._welcome = mock.patch.object(servicer, "WorkerSession", self._noted)

    def _noted(self, *given):
        self.sessions.append(WorkerSession(*given))
        return self.sessions[-1]

    def __enter__(self):
        self._welcome.start()
        return self

    def __exit__(self, *exception):
        self._welcome.stop()
        for client in self.clients:
            client.close()
        for server in self.servers:
            server.close()

    @property
    def sequencer(self):
        """A copy of what decides."""
        return self.servers[0].inspect().sequencer

    @property
    def shards(self):
        """Copies of what every ps keeps."""
        return [server.inspect() for server in self.servers]

    def values(self):
        """What all ps keep."""
        return np.concatenate([shard.values for shard in self.shards])

    def has_version(self, version):
        """Wait until all ps have executed so many updates; then the values are those of that many."""
        until(lambda: all(shard.version == version for shard in self.shards), f"version {version}")
        np.testing.assert_allclose(self.values(), -RATE * version, rtol=1e-5, atol=1e-7)

    def client(self, worker=0, incarnation=None):
        client = Client(self.addresses, worker, connect_timeout_s=6.0, share_memory=False)
        client.incarnation = incarnation or client.incarnation
        client.place(self.size, np.dtype("float32"))
        self.clients.append(client)
        return client

    def description(self):
        size = self.size
        return {
            "size": size,
            "dtype": "float32",
            "optimizer": distrib.optimizers.SGD().get_config(),
            "learning_rate": RATE,
            "penalties": [],
            "layout": [["dense/kernel", 0, 3 * size // 4], ["dense/bias", 3 * size // 4, size]],
            "rules": self.rules.get_config(),
            "ps": self.addresses,
        }

    def register(self, client):
        client.register(0, self.description(), np.zeros(self.size, np.float32))

    def begin(self, client):
        return client.begin(1, PHASE, np.zeros(self.size, np.float32))

    def begun(self, worker=0, incarnation=None):
        """A client that has registered, and the answer to its beginning."""
        client = self.client(worker, incarnation)
        self.register(client)
        return client, self.begin(client)

    def message(self, answer, sequence):
        """The push of the lease in an answer."""
        count = float(answer.end - answer.begin)
        return pb.Push(
            phase=1, sequence=sequence, lease=answer.lease, version=answer.version, sums=[count, 0, 0, 0]
        )

    def gradient(self, answer):
        return np.full(self.size, answer.end - answer.begin, np.float32)

    def push(self, client, answer, sequence):
        return client.push(
            self.message(answer, sequence), self.gradient(answer), np.empty(self.size, np.float32)
        )

    def send(self, client, answer, sequence):
        """Send a push to all ps, and do not look at what comes back."""
        client.last_call += 1
        request = pb.WorkRequest(call=client.last_call, push=self.message(answer, sequence), last=True)
        gradient = self.gradient(answer)
        for stream, part in zip(client.streams, client.parts, strict=True):
            stream.send(Frame(request, 0, gradient[part.slice].view(np.uint8).data))

    def finish(self, workers):
        """Let clients, each with its last answer and sequence, compute what is left; returns what they computed."""
        spans = []

        def work(client, answer, sequence):
            while (lease := lease_of(answer)) is not None:
                sequence += 1
                answer = self.push(client, answer, sequence)
                spans.append((lease.span, answer.decision))

        threads = [threading.Thread(target=work, args=each) for each in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads), "it hangs"
        return spans
