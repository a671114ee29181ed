"""Replicas in one process: each is a thread, with the collectives and servers of a job over several processes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from distrib.base.arguments import checked
from distrib.base.errors import ConfigError
from distrib.cluster.resolvers import SimpleClusterResolver
from distrib.cluster.spec import ClusterSpec
from distrib.comm.collectives.ring import RingCommunicator
from distrib.comm.collectives.shared_memory import SharedMemoryCommunicator
from distrib.comm.messages.threads import run_ranks
from distrib.comm.messages.transport import Transport
from distrib.ps.server.server import Server
from distrib.ps.server.server_options import ServerOptions
from distrib.strategies.central_storage import CentralStorageStrategy
from distrib.strategies.default import DefaultStrategy
from distrib.strategies.mirrored import MirroredStrategy
from distrib.strategies.parameter_server import ParameterServerStrategy
from distrib.training.seeds import counted_apart

T = TypeVar("T")

_TIMEOUT_S = 20.0


@checked
def run_on_replicas(
    num_replicas: int, body: Callable[[Any], T], strategy: str = "mirrored", timeout_s: float = 60.0
) -> list[T]:
    """Call `body(strategy)` on every replica, in the scope of its strategy.

    Args:
        num_replicas: how many.
        body: what each does; models are made in it.
        strategy: `"mirrored"`, a ring; `"central"`, with common memory; or `"default"`, for one.
        timeout_s: seconds after which the run has failed.

    Returns:
        What the calls have returned, by rank.

    Raises:
        BaseException: the first failure of a replica.
    """
    if strategy not in ("mirrored", "central", "default"):
        raise ConfigError(f"Expected strategy mirrored, central or default. Received: {strategy!r}.")
    if strategy == "default":
        with counted_apart(), DefaultStrategy().scope() as alone:
            return [body(alone)]

    def run(transport: Transport) -> T:
        made: Any
        if strategy == "central":
            made = CentralStorageStrategy(communicator=SharedMemoryCommunicator(transport, _TIMEOUT_S))
        else:
            made = MirroredStrategy(communicator=RingCommunicator(transport, _TIMEOUT_S))
        with counted_apart(), made.scope():
            return body(made)

    return run_ranks(num_replicas, run, timeout_s)


@checked
def run_on_workers(
    num_workers: int, body: Callable[[Any], T], num_ps: int = 1, timeout_s: float = 60.0, **options: Any
) -> list[T]:
    """Call `body(strategy)` on every worker around parameter servers, which listen on the loopback interface.

    Args:
        num_workers: how many; the first is the chief.
        body: what each does; models are made in it.
        num_ps: how many parameter servers there are.
        timeout_s: seconds after which the run has failed.
        options: of `ParameterServerStrategy`.

    Returns:
        What the calls have returned, the chief's first.

    Raises:
        BaseException: the first failure of a worker.
        TimeoutError: one has not ended in time.
    """
    servers = [Server("127.0.0.1:0", ServerOptions()) for _ in range(num_ps)]
    addresses = [f"127.0.0.1:{server.port}" for server in servers]
    jobs = {"chief": ["localhost:0"], "worker": ["localhost:0"] * (num_workers - 1), "ps": addresses}
    results: list[Any] = [None] * num_workers
    failures: list[BaseException | None] = [None] * num_workers

    def work(worker: int) -> None:
        resolver = SimpleClusterResolver(
            ClusterSpec(jobs), "", "worker" if worker else "chief", max(0, worker - 1)
        )
        strategy = ParameterServerStrategy(resolver, **options)
        try:
            with counted_apart(), strategy.scope():
                results[worker] = body(strategy)
        except BaseException as error:
            failures[worker] = error
            strategy.close(repr(error))
        else:
            if worker:
                strategy.close()
            else:
                chiefs.append(strategy)  # whose end is that of the job

    chiefs: list[ParameterServerStrategy] = []
    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in range(num_workers)]
    try:
        for thread in threads[::-1]:
            thread.start()
        for thread in threads:
            thread.join(timeout_s)
        if any(thread.is_alive() for thread in threads):
            raise TimeoutError(f"A worker has not ended after {timeout_s} s.")
    finally:
        for strategy in chiefs:
            strategy.close()
        for server in servers:
            server.close()
    for failure in failures:
        if failure is not None:
            raise failure
    return results
