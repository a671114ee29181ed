"""Training on n workers, each a thread, around real servers on the loopback interface."""

import threading

from distrib.cluster.resolvers import SimpleClusterResolver
from distrib.cluster.spec import ClusterSpec
from distrib.ps.server import Server
from distrib.strategies.parameter_server import ParameterServerStrategy


def worker_of(worker, num_workers, ps):
    """A resolver that says: this is that worker of so many, around the ps at those addresses."""
    jobs = {"chief": ["localhost:0"], "worker": ["localhost:0"] * (num_workers - 1), "ps": ps}
    return SimpleClusterResolver(ClusterSpec(jobs), "", "worker" if worker else "chief", max(0, worker - 1))


def on_workers(num_workers, body, num_ps=1, share_memory=False, token="", **options):
    """Call `body(strategy)` on every worker; the results in their order. The chief's end ends the servers."""
    servers = [Server("127.0.0.1:0", token) for _ in range(num_ps)]
    addresses = tuple(f"127.0.0.1:{server.port}" for server in servers)
    results, failures = [None] * num_workers, [None] * num_workers

    def work(worker):
        strategy = ParameterServerStrategy(
            worker_of(worker, num_workers, addresses), share_memory=share_memory, **options
        )
        try:
            with strategy.scope():
                results[worker] = body(strategy)
        except BaseException as error:
            failures[worker] = error
            strategy.close(repr(error))
        if worker:
            strategy.close()
        else:
            strategies.append(strategy)

    strategies = []
    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(num_workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    hung = [thread for thread in threads if thread.is_alive()]
    for strategy in strategies:
        strategy.close()
    for server in servers:
        if not server.ended_within(2.0):
            hung.append(server)
        server.close()
    for failure in failures:
        if failure is not None:
            raise failure
    assert not hung, f"not ended: {hung}"
    return results
