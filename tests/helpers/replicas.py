"""Training on n replicas, each a thread, to compare with one process."""

import numpy as np

import distrib
from distrib.comm.collectives.hierarchical import HierarchicalCommunicator
from distrib.comm.collectives.ring import RingCommunicator
from distrib.comm.collectives.shared_memory import SharedMemoryCommunicator
from distrib.comm.messages.threads import run_ranks
from distrib.strategies.central_storage import CentralStorageStrategy
from distrib.strategies.mirrored import MirroredStrategy
from distrib.training.seeds import counted_apart

KINDS = {
    "ring": (MirroredStrategy, RingCommunicator, {}),
    "shared_memory": (MirroredStrategy, SharedMemoryCommunicator, {}),
    "hierarchical": (MirroredStrategy, HierarchicalCommunicator, {}),
    "central": (CentralStorageStrategy, SharedMemoryCommunicator, {}),
    "overlapped ring": (MirroredStrategy, RingCommunicator, {"bucket_bytes": 128}),
    "overlapped hierarchical": (MirroredStrategy, HierarchicalCommunicator, {"bucket_bytes": 128}),
}


def hosts_of(kind, num_ranks):
    """Two hosts where that is even, else one each; in an order that is not that of the ranks."""
    if "hierarchical" not in kind:
        return ["here"] * num_ranks
    return [f"host{rank % (2 if num_ranks % 2 == 0 else num_ranks)}" for rank in range(num_ranks)]


def on_replicas(num_replicas, body, timeout_s=20.0, kind="ring", **options):
    """Call `body(strategy)` on every replica; the results in rank order."""
    strategy_class, communicator_class, of_kind = KINDS[kind]
    communication_options = distrib.CommunicationOptions(**of_kind | options)

    def run(transport):
        strategy = strategy_class(communication_options, communicator_class(transport, timeout_s))
        with counted_apart(), strategy.scope():
            return body(strategy)

    return run_ranks(num_replicas, run, hosts=hosts_of(kind, num_replicas))


def in_one_process(body):
    strategy = distrib.DefaultStrategy()
    with counted_apart(), strategy.scope():
        return body(strategy)


def difference(weights, reference):
    """Norm of the difference over norm of the reference."""
    squares = sum(float(np.sum((a - b) ** 2)) for a, b in zip(weights, reference, strict=True))
    return (squares / sum(float(np.sum(b**2)) for b in reference)) ** 0.5
