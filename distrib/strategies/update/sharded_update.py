"""ShardedUpdater: each replica owns a range of the flat vectors, and updates it. For strategies that are synchronous.

The optimizer sits inside the all-reduce. After the reduce-scatter each replica owns a range of the summed
gradient; it updates that range of the values, and the all-gather carries values. The same bytes travel as in an
all-reduce of gradients, but each replica does 1/n of the optimizer's work and keeps 1/n of its slots, and
the replicas cannot drift apart: every value is computed once and copied.
"""

from __future__ import annotations

import math

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import NonFiniteError
from distrib.base.logs import LOGGER
from distrib.comm.communicator import Communicator
from distrib.nn.batch_sums import BatchSums
from distrib.nn.network import Network
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.strategies.options import CommunicationOptions
from distrib.strategies.update.gradient_buckets import DEFAULT_BUCKET_BYTES, GradientBuckets
from distrib.strategies.update.layer_states import LayerStates
from distrib.strategies.update.replica_check import check_replicas
from distrib.strategies.update.replica_state import ReplicaState
from distrib.strategies.update.tensor_borders import borders_of, tensors_in
from distrib.strategies.update.updater import NonFinitePolicy, Updater
from distrib.strategies.update.whole_batches import penalty_of

_SUMMED = "the sum over replicas of the gradient"


class ShardedUpdater(Updater):
    """Reduce-scatter the gradient, update the own range, all-gather the values. Making one is collective.

    Args:
        communicator: the collectives between the replicas.
        network: the network to train; its flat vectors lie where the strategy wants them, with equal values.
        optimizer: its optimizer; keeps slots for the own range only.
        on_nonfinite: what to do about NaN or Inf.
        options: when to compare a hash of the values, and how gradients travel; by default neither is asked for.

    Attributes:
        buckets: the pieces of the gradient that travel.
        owned: the ranges of the flat vectors that this replica updates.
        replica_state: what is compared with the other replicas in every step.
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
        self._borders = borders_of(network, optimizer)
        self.own_as_before()
        self.buckets = GradientBuckets(
            communicator,
            network.buffer.values,
            network.buffer.grads,
            _bucket_bytes(options, communicator) if self._borders is None else 0,
            compress=options.compression is not None,
        )
        self.owned = self.buckets.owned
        if len(self.owned) > 1:
            self.filled = self._reduce_filled
        self._nonfinite = 0
        self._num_pulls: int = optimizer.iterations  # no replica may count otherwise than the others
        self._verdict = np.zeros(1)
        self._sums = np.empty(0)
        self.replica_state = ReplicaState(optimizer, network.buffer)
        self._layer_states = LayerStates(communicator, network.states)
        elements = f"{[(entry.name, entry.range) for entry in network.buffer.layout]} {self.owned}"
        tensors = tensors_in(network, optimizer, self.owned)
        optimizer.claim(network.buffer.variables)
        self._era = optimizer.era
        optimizer.build(sum(own.size for own in self.owned), network.dtype, elements, tensors)
        communicator.at_step(optimizer.iterations)

    def own_as_before(self) -> None:
        """Let the communicator cut vectors as this training has them, whatever another one wanted since."""
        if self._borders is not None or self._communicator.is_cut:
            self._communicator.cut_at(self._borders, self._network.buffer.size)

    def pull(self) -> None:
        if self._optimizer.era != self._era:
            self._optimizer.claim(self._network.buffer.variables)  # raises: it has trained others since
        self.own_as_before()
        self.buckets.begin()
        self._layer_states.begin()
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
        self.buckets.abandon()

    def _reduce_filled(self, begin: int) -> None:
        buffer = self._network.buffer
        for bucket in self.buckets.filled(begin):
            if self._on_nonfinite != "allow":
                # Buckets come from the end, so the last one that finds something has found the first variable.
                self._nonfinite = _one_based(buffer.first_nonfinite(buffer.grads, bucket)) or self._nonfinite
            self.buckets.reduce(bucket)

    def push(self, batch_sums: BatchSums) -> BatchSums:
        communicator, step = self._communicator, self._optimizer.iterations
        self._reduce_filled(0)
        batch_sums.nonfinite = self._nonfinite
        batch_sums.penalty = penalty_of(self._network, self.owned)
        all_scalars = self.buckets.finish(self.replica_state.scalars(batch_sums.sums))
        self._layer_states.combine(batch_sums.count)
        total = self._added(self.replica_state.check(all_scalars, step))
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
            for own in self.owned:
                self._network.penalties.add_gradient(own, scale=total.count)
        parts = self._parts()
        if self._optimizer.global_clipnorm is not None:
            scale *= self._clipping(parts, scale)
        if self._verdict[0]:
            # As on the others, which cannot know yet, and update their ranges.
            self._optimizer.iterations += 1
        else:
            self._optimizer.apply_parts(parts, scale)
        verdicts = self.buckets.all_gather(self._verdict)
        communicator.at_step(self._optimizer.iterations)
        if verdicts.any():
            if self._on_nonfinite == "raise":
                # Other owners have updated their ranges: the values are of no step at all.
                self._network.damage = f"an update that was applied in part, at step {step}"
            return self._refuse(verdicts[:, 0], _SUMMED, step)
        return total

    def finalize(self) -> None:
        if self._optimizer.use_ema:
            self._optimizer.finalize([values for values, _ in self._parts()])
            self.buckets.all_gather(self._verdict)

    def _parts(self) -> list[tuple[Array, Array]]:
        """Values and gradients of what this replica owns."""
        buffer = self._network.buffer
        return [(buffer.values[own.slice], buffer.grads[own.slice]) for own in self.owned]

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
        found = (_one_based(buffer.first_nonfinite(buffer.grads, own)) for own in reversed(self.owned))
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
        self.buckets.forget()
        found = f"NaN or Inf in {what} at step {step}, first in {where}."
        if self._on_nonfinite == "raise":
            raise NonFiniteError(
                f"{found} Look at the data and the learning rate, or "
                'compile(on_nonfinite="skip") to leave such steps out.'
            )
        LOGGER.warning("%s The step is skipped on all replicas.", found)
        self._sums.fill(0)
        return BatchSums(0, self._sums)

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
