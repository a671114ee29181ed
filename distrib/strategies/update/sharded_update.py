"""ShardedUpdater: each replica owns a range of the flat vectors, and updates it. For strategies that are synchronous.

The optimizer sits inside the all-reduce. After the reduce-scatter each replica owns a range of the summed
gradient; it updates that range of the values, and the all-gather carries values. The same bytes travel as in an
all-reduce of gradients, but each replica does 1/n of the optimizer's work and keeps 1/n of its slots, and
the replicas cannot drift apart: every value is computed once and copied.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import NonFiniteError
from distrib.base.logs import LOGGER
from distrib.base.ranges import Range
from distrib.comm.communicator import Communicator
from distrib.data.dataset import ArrayDataset, Batch
from distrib.data.schedule import Positions, Schedule, joined
from distrib.nn.batch_sums import BatchSums
from distrib.nn.network import Network
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.strategies.options import CommunicationOptions
from distrib.strategies.update.gradient_buckets import DEFAULT_BUCKET_BYTES, GradientBuckets
from distrib.strategies.update.replica_check import check_replicas
from distrib.strategies.update.replica_state import ReplicaState
from distrib.strategies.update.updater import NonFinitePolicy, Rest, Saved, State, Updater

_SUMMED = "the sum over replicas of the gradient"


class ShardedUpdater(Updater):
    """Reduce-scatter the gradient, update the own range, all-gather the values. Making one is collective.

    Args:
        communicator: the collectives between the replicas.
        network: the network to train; its flat vectors lie where the strategy wants them, with equal values.
        optimizer: its optimizer; keeps slots for the own range only.
        on_nonfinite: what to do about NaN or Inf.
        options: when to compare a hash of the values, and how gradients travel; by default neither is asked for.
    """

    def __init__(
        self,
        communicator: Communicator,
        network: Network,
        optimizer: Optimizer,
        on_nonfinite: NonFinitePolicy,
        options: CommunicationOptions | None = None,
    ) -> None:
        self._communicator, self._network, self._optimizer = communicator, network, optimizer
        self._on_nonfinite = on_nonfinite
        self._world_size = communicator.world_size
        options = options or CommunicationOptions(check_every=0)
        self._check_every = options.check_every
        self._buckets = GradientBuckets(
            communicator,
            network.buffer.values,
            network.buffer.grads,
            _bucket_bytes(options, communicator),
            compress=options.compression is not None,
        )
        self._owned = self._buckets.owned
        if len(self._owned) > 1:
            self.filled = self._reduce_filled
        self._nonfinite = 0
        self._num_pulls = optimizer.iterations  # no replica may count otherwise than the others
        self._verdict = np.zeros(1)
        self._sums = np.empty(0)
        self._replica_state = ReplicaState(optimizer, network.buffer)
        self._wholes: list[Positions] = []  # the batches of the epoch
        self._num_begun = 0  # of them
        elements = f"{[(entry.name, entry.range) for entry in network.buffer.layout]} {self._owned}"
        optimizer.build(sum(own.size for own in self._owned), network.dtype, elements)
        communicator.at_step(optimizer.iterations)
        self._broadcast_fixed()

    def _broadcast_fixed(self) -> None:
        """Broadcast the variables that are not trained, from rank 0."""
        for variable in self._network.fixed_variables.values():
            self._communicator.broadcast(variable.value.reshape(-1))

    def pull(self) -> None:
        self._buckets.begin()
        self._nonfinite = 0
        if self._check_every and self._num_pulls % self._check_every == 0:
            self._check_replicas()
        self._num_pulls += 1

    def settle(self) -> None:
        if self._check_every:
            self._check_replicas()  # before what an epoch has made is evaluated or saved

    def _check_replicas(self) -> None:
        if self._world_size > 1:
            check_replicas(self._communicator, self._network, self._optimizer)

    def abandon(self) -> None:
        self._buckets.abandon()

    def _reduce_filled(self, begin: int) -> None:
        buffer = self._network.buffer
        for bucket in self._buckets.filled(begin):
            if self._on_nonfinite != "allow":
                # Buckets come from the end, so the last one that finds something has found the first variable.
                self._nonfinite = _one_based(buffer.first_nonfinite(buffer.grads, bucket)) or self._nonfinite
            self._buckets.reduce(bucket)

    def push(self, batch_sums: BatchSums) -> BatchSums:
        communicator, step = self._communicator, self._optimizer.iterations
        self._reduce_filled(0)
        batch_sums.nonfinite = self._nonfinite
        batch_sums.penalty = self._penalty()
        all_scalars = self._buckets.finish(self._replica_state.scalars(batch_sums.sums))
        total = self._added(self._replica_state.check(all_scalars, step))
        if total.nonfinite:
            return self._refuse(
                np.array([BatchSums(0, scalars).nonfinite for scalars in all_scalars]), "the gradient", step
            )
        self._verdict[0] = self._judge_sum()
        if self._on_nonfinite == "skip" and self._world_size > 1:
            # A vote before the update: none updates its range when another cannot.
            verdicts = communicator.gather_scalars(self._verdict)
            if verdicts.any():
                return self._refuse(verdicts[:, 0], _SUMMED, step)
        scale = 1.0 / total.count
        if not self._verdict[0]:
            for own in self._owned:
                self._network.add_penalty_gradient(own, scale=total.count)
        parts = self._parts()
        if self._optimizer.global_clipnorm is not None:
            scale *= self._clipping(parts, scale)
        if self._verdict[0]:
            # As on the others, which cannot know yet, and update their ranges.
            self._optimizer.iterations += 1
        else:
            self._optimizer.apply_parts(parts, scale)
        verdicts = self._buckets.all_gather(self._verdict)
        communicator.at_step(self._optimizer.iterations)
        if verdicts.any():
            if self._on_nonfinite == "raise":
                # Other owners have updated their ranges: the values are of no step at all.
                self._network.damage = f"an update that was applied in part, at step {step}"
            return self._refuse(verdicts[:, 0], _SUMMED, step)
        return total

    def _parts(self) -> list[tuple[Array, Array]]:
        """Values and gradients of what this replica owns."""
        buffer = self._network.buffer
        return [(buffer.values[own.slice], buffer.grads[own.slice]) for own in self._owned]

    def _penalty(self) -> float:
        return sum(self._network.penalty(own) for own in self._owned)

    def _clipping(self, parts: list[tuple[Array, Array]], scale: float) -> float:
        """The factor that clips the whole gradient to the optimizer's norm. Collective."""
        square = sum(_square(grads) for _, grads in parts) * scale * scale
        squares = self._communicator.gather_scalars(np.array([square]))
        return self._optimizer.clipping(float(np.add.reduce(squares[:, 0])))

    def _judge_sum(self) -> int:
        """1 + index of the variable whose sum overflowed although every replica's part was finite, else 0."""
        if self._on_nonfinite == "allow" or self._world_size == 1:
            return 0
        buffer = self._network.buffer
        found = (_one_based(buffer.first_nonfinite(buffer.grads, own)) for own in reversed(self._owned))
        return next(filter(None, found), 0)

    def _refuse(self, verdicts: Array, what: str, step: int) -> BatchSums:
        """Raise, or skip the step: say so, and return empty sums.

        Args:
            verdicts: for each rank, 1 + the index of its first variable with NaN or Inf, or 0.
            what: in what they were found.
            step: of which training step.
        """
        layout = self._network.buffer.layout
        bad = [(rank, int(index) - 1) for rank, index in enumerate(verdicts) if index]
        where = ", ".join(f"{layout[index].name} on rank {rank}" for rank, index in bad)
        self._buckets.forget()
        found = f"NaN or Inf in {what} at step {step}, first in {where}."
        if self._on_nonfinite == "raise":
            raise NonFiniteError(
                f"{found} Look at the data and the learning rate, or "
                'compile(on_nonfinite="skip") to leave such steps out.'
            )
        LOGGER.warning("%s The step is skipped on all replicas.", found)
        self._sums.fill(0)
        return BatchSums(0, self._sums)

    def batches(
        self, dataset: ArrayDataset, schedule: Schedule, epoch: int, num_sums: int, rest: Rest | None = None
    ) -> Iterator[Batch]:
        self._wholes = list(schedule.epoch(epoch) if rest is None else schedule.cut(rest.undone))
        parts = dataset.batches(schedule, self._wholes, self._communicator.rank, self._world_size)
        for self._num_begun, batch in enumerate(parts, 1):
            yield batch

    def state(self) -> State:
        slots = {}
        for name, slot in self._optimizer.slots.items():
            whole = np.zeros_like(self._network.buffer.values)
            for part, own in self._slot_parts(slot):
                whole[own.slice] = part
            self._buckets.gather(whole)
            slots[name] = whole
        return State(slots, joined(self._wholes[self._num_begun :]), None)

    def restore(self, saved: Saved | None) -> str:
        text = "" if saved is None else json.dumps([saved.step, saved.learning_rate, saved.words])
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
        self._broadcast_fixed()
        self._replica_state.begin()  # the chief has assigned what it has found
        step, optimizer.learning_rate, words = json.loads(text)
        optimizer.iterations = step
        self._communicator.at_step(step)
        self._communicator.barrier()
        return str(words)

    def _from_chief(self, vector: Array | None) -> Array:
        received = np.zeros_like(self._network.buffer.values)
        if vector is not None:
            received[...] = vector
        self._communicator.broadcast(received)
        return received

    def _slot_parts(self, slot: Array) -> Iterator[tuple[Array, Range]]:
        """The parts of a slot, each with the range of the flat vector that it is for."""
        begin = 0
        for own in self._owned:
            yield slot[begin : begin + own.size], own
            begin += own.size

    def stops(self, wanted: bool) -> bool:
        return bool(self._communicator.gather_scalars(np.array([float(wanted)])).any())

    def end(self) -> None:
        self._communicator.barrier()

    def test_batches(self, dataset: ArrayDataset, schedule: Schedule, num_sums: int) -> Iterator[Batch]:
        return dataset.batches(schedule, schedule.epoch(0), self._communicator.rank, self._world_size)

    def tested(self, batch_sums: BatchSums) -> None:
        pass  # The sums are combined at the end.

    def total(self, tested: BatchSums) -> BatchSums:
        tested.penalty = self._penalty()
        # In memory of its own: an evaluation must leave what the training reads as it is.
        return BatchSums(0, np.add.reduce(self._communicator.gather_scalars(tested.sums), axis=0))

    def _added(self, all_scalars: Array) -> BatchSums:
        """The scalars added in rank order, which makes the same bits on every replica."""
        if self._sums.size != all_scalars.shape[1]:
            self._sums = np.empty(all_scalars.shape[1])
        np.add.reduce(all_scalars, axis=0, out=self._sums)
        return BatchSums(0, self._sums)


def _bucket_bytes(options: CommunicationOptions, communicator: Communicator) -> int:
    if options.bucket_bytes is not None:
        return options.bucket_bytes
    return DEFAULT_BUCKET_BYTES if communicator.spans_hosts else 0


def _square(vector: Array) -> float:
    """The sum of the squares, which may be too large for float32 though no element is."""
    square = float(np.dot(vector, vector))
    if not math.isfinite(square):
        vector = vector.astype(np.float64)
        square = float(np.dot(vector, vector))
    return square


def _one_based(index: int | None) -> int:
    return 0 if index is None else index + 1
