"""Training on n replicas, each a thread, to compare with one process."""

import numpy as np

import distrib
from distrib.comm.ring import RingCommunicator
from distrib.comm.threads import run_ranks
from distrib.strategies.mirrored import MirroredStrategy


def on_replicas(num_replicas, body, timeout_s=20.0):
    """Call `body(strategy)` on every replica; the results in rank order."""

    def run(transport):
        strategy = MirroredStrategy(communicator=RingCommunicator(transport, timeout_s))
        with strategy.scope():
            return body(strategy)

    return run_ranks(num_replicas, run)


def in_one_process(body):
    strategy = distrib.DefaultStrategy()
    with strategy.scope():
        return body(strategy)


def difference(weights, reference):
    """Norm of the difference over norm of the reference."""
    squares = sum(float(np.sum((a - b) ** 2)) for a, b in zip(weights, reference, strict=True))
    return (squares / sum(float(np.sum(b**2)) for b in reference)) ** 0.5
