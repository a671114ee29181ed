"""Pushes with lost answers, duplicates and killed ps: the weights are those of a replay of what survived.

Workers push vectors that follow from (worker, push number), so a replay can make them again. The ps is really
stopped, and a new one begins from the last checkpoint on the same port. Every update that a ps makes is noted; those
after the checkpoint are forgotten when it comes back, as the job forgets them.
"""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from distrib.nn.optimizers import SGD
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.client.client import Client
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.order.command_log import Apply
from distrib.ps.policy.order.shard import Shard
from distrib.ps.server.checkpoint_writer import CheckpointOptions
from distrib.ps.server.server import Server
from distrib.ps.server.server_options import ServerOptions
from helpers.ps import nothing_is_staged

SIZE = 1000
RATE = 1e-3


def gradient(worker: int, sequence: int) -> np.ndarray:
    """What a worker pushes."""
    return np.random.default_rng([worker, sequence]).normal(size=SIZE).astype(np.float32)


class Campaign:
    """One job.

    Args:
        folder: for checkpoints.
        num_pushes: examples of the one epoch, one a push.
        num_workers: threads that push.
        lost: share of answers that are lost.
        duplicated: share of pushes that are sent twice.
        kills: how often the ps is killed.
        seed: of the faults.
    """

    def __init__(
        self,
        folder: Path,
        num_pushes: int,
        num_workers: int,
        lost: float,
        duplicated: float,
        kills: int,
        seed: int,
    ) -> None:
        self.num_pushes, self.num_workers = num_pushes, num_workers
        self._lost, self._duplicated, self._kills = lost, duplicated, kills
        self._seed = seed
        self._saved = CheckpointOptions(folder, every=max(2, num_pushes // 50), restore=False)
        self.noted: list[Apply] = []
        self.faults = {"lost": 0, "duplicated": 0, "kills": 0, "rolled back": 0}
        self.failures: list[BaseException] = []

    def run(self) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """The weights of the job, those of the replay, and the faults that fired."""
        server = Server("127.0.0.1:0", ServerOptions(checkpoints=self._saved))
        apply, restore = Shard.apply, Shard.restore
        noted = self.noted

        def noting(shard: Shard, entry: Apply) -> None:
            apply(shard, entry)
            noted.append(entry)

        def restoring(shard: Shard, description: Any, vectors: Any, version: int) -> None:
            restore(shard, description, vectors, version)
            self.faults["rolled back"] += len(noted) - version
            del noted[version:]

        Shard.apply, Shard.restore = noting, restoring
        try:
            workers = [
                threading.Thread(target=self._work, args=(worker, server.port))
                for worker in range(self.num_workers)
            ]
            for thread in workers:
                thread.start()
            for kill in range(self._kills):
                target = (kill + 1) * self.num_pushes // (self._kills + 1)
                while len(noted) < target and any(thread.is_alive() for thread in workers):
                    time.sleep(0.002)
                server.close()
                self.faults["kills"] += 1
                server = Server(
                    f"127.0.0.1:{server.port}", ServerOptions(checkpoints=self._saved._replace(restore=True))
                )
            for thread in workers:
                thread.join(300)
            if self.failures:
                raise self.failures[0]
            nothing_is_staged([server])
            weights = server.inspect().values
        finally:
            server.close()
            Shard.apply, Shard.restore = apply, restore
        return weights, self._replay(), self.faults

    def _replay(self) -> np.ndarray:
        values, optimizer = np.zeros(SIZE, np.float32), SGD(RATE)
        optimizer.build(SIZE, values.dtype)
        for entry in self.noted:
            (push,) = entry.pushes
            optimizer.apply_range(values, gradient(push.worker, push.sequence), entry.scale)
        return values

    def _work(self, worker: int, port: int) -> None:
        try:
            self._pushes(worker, port)
        except BaseException as error:
            self.failures.append(error)

    def _pushes(self, worker: int, port: int) -> None:
        client = Client([f"127.0.0.1:{port}"], worker, connect_timeout_s=60.0, share_memory=False)
        draw = random.Random(f"{self._seed} {worker}")
        exchange = client.exchange

        def faulty(request: pb.WorkRequest, sent: Any, values: Any) -> pb.Answer:
            answer = exchange(request, sent, values)
            if request.WhichOneof("what") == "push":
                luck = draw.random()
                if luck < self._lost:
                    self.faults["lost"] += 1
                    client.disconnect()  # after the ps has applied it, before the worker knows
                    client.connect()
                    return exchange(request, sent, values)
                if luck < self._lost + self._duplicated:
                    self.faults["duplicated"] += 1
                    return exchange(request, sent, values)
            return answer

        client.exchange = faulty
        values = np.zeros(SIZE, np.float32)
        client.place(SIZE, values.dtype)
        description = {
            "size": SIZE,
            "dtype": "float32",
            "optimizer": SGD(RATE).get_config(),
            "learning_rate": RATE,
            "penalties": [],
            "layout": [["vector", 0, SIZE]],
            "rules": Rules("async", self.num_workers).get_config(),
            "ps": ["127.0.0.1:0"],
        }
        client.register(0, description, values)
        phase = {"kind": "train", "epoch": 0, "num_examples": self.num_pushes, "batch_size": 1, "num_sums": 4}
        answer = client.begin(1, {**phase, "steps_per_epoch": self.num_pushes}, values)
        sequence = 0
        while answer.has_lease:
            sequence += 1
            message = pb.Push(
                phase=1,
                sequence=sequence,
                lease=answer.lease,
                version=answer.version,
                sums=[1.0, 0.0, 0.0, 0.0],
            )
            answer = client.push(message, gradient(worker, sequence), values)
        client.close()
