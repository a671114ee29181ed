"""ShardedState: the state of a training whose slots are spread over the replicas, gathered and restored."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from distrib.base.arrays import Array
from distrib.base.ranges import Range
from distrib.comm.communicator import Communicator
from distrib.nn.network import Network
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.strategies.options import CommunicationOptions
from distrib.strategies.update.coordination import Coordination, Saved, State
from distrib.strategies.update.sharded_update import ShardedUpdater
from distrib.strategies.update.training import Training
from distrib.strategies.update.updater import NonFinitePolicy
from distrib.strategies.update.whole_batches import WholeBatchFeed


class ShardedState(Coordination):
    """What the replicas of a synchronous training keep together.

    Args:
        communicator: the collectives between the replicas.
        network: what is trained.
        optimizer: has the slots of what this replica owns.
        updater: knows what that is.
        feed: knows what is done.
    """

    def __init__(
        self,
        communicator: Communicator,
        network: Network,
        optimizer: Optimizer,
        updater: ShardedUpdater,
        feed: WholeBatchFeed,
    ) -> None:
        self._communicator, self._network, self._optimizer = communicator, network, optimizer
        self._updater, self._feed = updater, feed

    def state(self) -> State:
        slots = {}
        self._updater.own_as_before()
        for name, slot in self._optimizer.slots.items():
            whole = np.zeros_like(self._network.buffer.values)
            for part, own in self._slot_parts(slot):
                whole[own.slice] = part
            self._updater.buckets.gather(whole)
            slots[name] = whole
        return State(slots, self._feed.undone(), None)

    def restore(self, saved: Saved | None) -> str:
        text = "" if saved is None else json.dumps([saved.step, saved.learning_rate, saved.origin])
        text = self._communicator.gather_bytes(text.encode())[0].decode()
        if not text:
            return ""
        values, optimizer = self._network.buffer.values, self._optimizer
        # All may have the values in common: nobody writes there while another sends.
        values[...] = self._from_chief(values)
        for name, slot in optimizer.slots.items():
            whole = self._from_chief(None if saved is None else saved.slots[name])
            for part, own in self._slot_parts(slot):
                part[...] = whole[own.slice]
        broadcast_fixed(self._communicator, self._network)
        self._updater.replica_state.begin()  # the chief has assigned what it has found
        step, rate, origin = json.loads(text)
        optimizer.iterations = step
        optimizer.follow(rate)
        self._communicator.at_step(step)
        self._communicator.barrier()
        return str(origin)

    def _from_chief(self, vector: Array | None) -> Array:
        received = np.zeros_like(self._network.buffer.values)
        if vector is not None:
            received[...] = vector
        self._communicator.broadcast(received)
        return received

    def _slot_parts(self, slot: Array) -> Iterator[tuple[Array, Range]]:
        """The parts of a slot, each with the range of the flat vector that it is for."""
        begin = 0
        for own in self._updater.owned:
            yield slot[begin : begin + own.size], own
            begin += own.size

    def stops(self, wanted: bool) -> bool:
        return bool(self._communicator.gather_scalars(np.array([float(wanted)])).any())

    def end(self) -> None:
        self._communicator.barrier()


def sharded_training(
    communicator: Communicator,
    network: Network,
    optimizer: Optimizer,
    on_nonfinite: NonFinitePolicy,
    options: CommunicationOptions | None = None,
) -> Training:
    """A training in which each replica updates the range that it owns. Collective.

    For the arguments see `ShardedUpdater`.
    """
    updater = ShardedUpdater(communicator, network, optimizer, on_nonfinite, options)
    feed = WholeBatchFeed(communicator, network, updater.owned, updater.replica_state)
    broadcast_fixed(communicator, network)
    return Training(updater, feed, ShardedState(communicator, network, optimizer, updater, feed))


def broadcast_fixed(communicator: Communicator, network: Network) -> None:
    """Broadcast the variables that are not trained, from rank 0. Collective."""
    for variable in network.fixed_variables.values():
        communicator.broadcast(variable.value.reshape(-1))
