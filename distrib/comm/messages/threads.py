"""Threads as ranks: the same collectives without a launcher, for tests and for trying things out.

results = run_ranks(3, lambda transport: train(RingCommunicator(transport)))
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import PeerLostError, ProtocolError
from distrib.comm.liveness.late import who_is_late
from distrib.comm.liveness.liveness import Liveness
from distrib.comm.messages.transport import Request, Transport

T = TypeVar("T")


class World:
    """What the threads share: messages under way, where each rank is, and the first failure.

    Args:
        hosts: name of the host that each rank pretends to be on.
    """

    def __init__(self, hosts: list[str]) -> None:
        self.world_size, self.hosts = len(hosts), hosts
        self.job = os.urandom(8)
        self.messages: dict[tuple[int, int, int], Array] = {}
        self.sequences = [-1] * len(hosts)
        self.waits = [False] * len(hosts)
        self.failure: tuple[int, BaseException] | None = None
        self._lock = threading.Lock()

    def who(self, rank: int) -> str:
        """Description of a rank."""
        return f"rank {rank} ({self.hosts[rank]}, thread)"

    def fail(self, rank: int, error: BaseException) -> None:
        """Remember the first failure; the other ranks' waits raise `PeerLostError`."""
        with self._lock:
            self.failure = self.failure or (rank, error)


class _Sent:
    def Test(self) -> bool:  # noqa: N802
        return True


class _Received:
    def __init__(self, world: World, key: tuple[int, int, int], message: Array) -> None:
        self._world, self._key, self._message = world, key, message
        self._done = False

    def Test(self) -> bool:  # noqa: N802
        if not self._done and (sent := self._world.messages.pop(self._key, None)) is not None:
            target = self._message.view(np.uint8)
            if sent.size > target.size:
                raise ProtocolError(
                    f"Expected a message of at most {target.size} bytes. Received: {sent.size}."
                )
            target[: sent.size] = sent
            self._done = True
        return self._done


class ThreadLiveness(Liveness):
    """What the rank of a thread knows of the others."""

    def __init__(self, world: World, rank: int) -> None:
        self._world, self._rank = world, rank

    def enter(self, sequence: int) -> None:
        self._world.sequences[self._rank] = sequence
        self._world.waits[self._rank] = False

    def check(self) -> None:
        if self._world.failure is not None:
            rank, error = self._world.failure
            raise PeerLostError(f"{self._world.who(rank)} failed: {type(error).__name__}: {error}")

    def waits(self, waits: bool) -> None:
        self._world.waits[self._rank] = waits

    def late(self, sequence: int) -> str:
        places = zip(self._world.sequences, self._world.waits, strict=True)
        working = [(at, self._world.who(rank)) for rank, (at, waits) in enumerate(places) if not waits]
        return who_is_late(sequence, working)

    def at_step(self, step: int) -> None:
        pass

    def confirm(self) -> None:
        pass


class ThreadTransport(Transport):
    """Messages between threads of one process. `send` copies, so it is done at once."""

    def __init__(self, world: World, rank: int) -> None:
        self.rank, self.world_size, self.job = rank, world.world_size, world.job
        self.hosts = world.hosts
        self.cores = [sorted(os.sched_getaffinity(0))] * world.world_size
        self._world, self.liveness = world, ThreadLiveness(world, rank)
        self._num_sent = [0] * world.world_size
        self._num_received = [0] * world.world_size

    def send(self, message: Array, dest: int) -> Request:
        key = (self.rank, dest, self._num_sent[dest])
        self._num_sent[dest] += 1
        self._world.messages[key] = message.view(np.uint8).copy()
        return _Sent()

    def receive(self, message: Array, source: int) -> Request:
        key = (source, self.rank, self._num_received[source])
        self._num_received[source] += 1
        return _Received(self._world, key, message)

    def progress(self) -> None:
        pass

    def who(self, rank: int) -> str:
        return self._world.who(rank)


def run_ranks(
    world_size: int, body: Callable[[Transport], T], deadline_s: float = 60.0, hosts: list[str] | None = None
) -> list[T]:
    """Run `body` on `world_size` threads, each given the transport of its rank.

    Args:
        world_size: number of ranks.
        body: called once a rank, with its transport.
        deadline_s: seconds after which the run has failed.
        hosts: names of the hosts that the ranks pretend to be on; one for all by default.

    Returns:
        What the calls returned, in rank order.

    Raises:
        BaseException: the first failure of a rank, after all have ended.
    """
    world = World(hosts or ["here"] * world_size)
    results: list[T | None] = [None] * world_size

    def run(rank: int) -> None:
        try:
            results[rank] = body(ThreadTransport(world, rank))
        except BaseException as error:
            world.fail(rank, error)

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(world_size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(deadline_s)
    if world.failure is not None:
        raise world.failure[1]
    if any(thread.is_alive() for thread in threads):
        raise PeerLostError(f"A rank of {world_size} did not end within {deadline_s:g} s.")
    return results  # type: ignore[return-value]
