"""Training on n workers, each a thread, around real servers on the loopback interface."""

import threading
import time

from distrib.cluster.resolvers import SimpleClusterResolver
from distrib.cluster.spec import ClusterSpec
from distrib.ps.server.server import Server
from distrib.ps.server.server_options import ServerOptions
from distrib.strategies.parameter_server import ParameterServerStrategy
from distrib.training.seeds import counted_apart


def worker_of(worker, num_workers, ps):
    """A resolver that says: this is that worker of so many, around the ps at those addresses."""
    jobs = {"chief": ["localhost:0"], "worker": ["localhost:0"] * (num_workers - 1), "ps": ps}
    return SimpleClusterResolver(ClusterSpec(jobs), "", "worker" if worker else "chief", max(0, worker - 1))


def nothing_is_staged(servers):
    """Every gradient that came was applied or forgotten, on every ps. Others than ps:0 are told a little later."""
    deadline = time.monotonic() + 2
    while any(server.inspect().waiting for server in servers) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [server.inspect().waiting for server in servers] == [frozenset()] * len(servers)


def on_workers(
    num_workers,
    body,
    num_ps=1,
    share_memory=False,
    token="",
    elsewhere=(),
    look=None,
    absent=0,
    checkpoints=None,
    **options,
):
    """Call `body(strategy)` on every worker; the results in their order. The chief's end ends the servers.

    Args:
        num_workers: how many.
        body: what each does.
        num_ps: how many ps there are.
        share_memory: whether the workers offer memory.
        token: of the run.
        elsewhere: the ps that are as on another host, where memory cannot be shared.
        absent: how many of the workers, the last ones, never come.
        checkpoints: where the ps save.
        look: called with the servers when all workers are through, before the chief ends them.
        options: of the strategy.
    """
    servers = [
        Server(
            "127.0.0.1:0",
            ServerOptions(token=token, share_memory=ps not in elsewhere, checkpoints=checkpoints),
        )
        for ps in range(num_ps)
    ]
    addresses = tuple(f"127.0.0.1:{server.port}" for server in servers)
    results, failures = [None] * num_workers, [None] * num_workers

    def work(worker):
        strategy = ParameterServerStrategy(
            worker_of(worker, num_workers, addresses), share_memory=share_memory, **options
        )
        try:
            with counted_apart(), strategy.scope():
                results[worker] = body(strategy)
        except BaseException as error:
            failures[worker] = error
            strategy.close(repr(error))
        if worker:
            strategy.close()
        else:
            strategies.append(strategy)

    strategies = []
    there = range(num_workers - absent)
    threads = [threading.Thread(target=work, args=(worker,)) for worker in there]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    hung = [thread for thread in threads if thread.is_alive()]
    if look is not None and not hung and not any(failures):
        try:
            look(servers)
        except AssertionError as error:
            failures.append(error)
    for strategy in strategies:
        strategy.close()
    for server in servers:
        if not server.has_ended.wait(2.0):
            hung.append(server)
        server.close()
    for failure in failures:
        if failure is not None:
            raise failure
    assert not hung, f"not ended: {hung}"
    return results
