"""ReplicaState: state that every replica holds, and that must be the same on all; compared in every step.

Owners update their ranges with the learning rate of the chief. A replica's rate, its number of updates, a
checksum of what its script has assigned to variables, and one of the data that every replica reads whole, ride with
its sums and reach all replicas with the gradients:
32 bytes more in a message that is sent in any case. Where the chief alone has set another rate, the others take it;
where another replica has, or where anything else differs, all raise an error that names the replica. Without this,
what one replica assigned would survive in the ranges that it owns, spread with the next values, and be the same
everywhere.
"""

from __future__ import annotations

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ProtocolError
from distrib.nn.flat_buffer import FlatBuffer
from distrib.nn.optimizers.optimizer import Optimizer

_NUM_RIDING = 4


class ReplicaState:
    """The state of this replica, compared with that of the others.

    Args:
        optimizer: this replica's; its rate becomes the chief's.
        buffer: the values that are trained.

    Attributes:
        data: checksum of the batch, where every replica reads all of it; 0 otherwise.
    """

    def __init__(self, optimizer: Optimizer, buffer: FlatBuffer) -> None:
        self._optimizer, self._buffer = optimizer, buffer
        self._scalars = np.empty(0)
        self.data = 0
        self.begin()

    def begin(self) -> None:
        """All replicas have the same state now."""
        self._rate = self._optimizer.learning_rate
        self._buffer.assigned = 0

    def scalars(self, sums: Array) -> Array:
        """The scalars of this replica: its sums, followed by its state. Valid until the next call."""
        if self._scalars.size != sums.size + _NUM_RIDING:
            self._scalars = np.empty(sums.size + _NUM_RIDING)
        self._scalars[:-_NUM_RIDING] = sums
        optimizer = self._optimizer
        state = optimizer.iterations, optimizer.learning_rate, self._buffer.assigned, self.data
        self._scalars[-_NUM_RIDING:] = state
        return self._scalars

    def check(self, all_scalars: Array, step: int) -> Array:
        """Take the chief's learning rate.

        Args:
            all_scalars: `(replicas, numbers)`, the scalars of all replicas.
            step: of the training.

        Returns:
            The sums, `(replicas, numbers)`.

        Raises:
            ProtocolError: on every replica, if one of them holds another state than the chief.
        """
        states = all_scalars[:, -_NUM_RIDING:]
        if not (states == states[0]).all():
            _check_data(states[:, 3], step)
            self._settle(states[:, 0], states[:, 1], states[:, 2], step)
        self._rate = self._optimizer.learning_rate
        return all_scalars[:, :-_NUM_RIDING]

    def _settle(self, iterations: Array, rates: Array, assigned: Array, step: int) -> None:
        """Take the chief's rate, or raise."""
        if (iterations != iterations[0]).any():
            rank = int((iterations != iterations[0]).argmax())
            raise ProtocolError(
                f"Rank {rank} has optimizer.iterations={iterations[rank]:.0f} at step {iterations[0]:.0f}. Set it on "
                "every rank alike.",
                is_common=True,
            )
        if (assigned != assigned[0]).any():
            raise ProtocolError(_assigned(assigned, step), is_common=True)
        rate = float(rates[0])
        for rank, other in enumerate(rates.tolist()):
            if other not in (rate, self._rate):
                raise ProtocolError(
                    f"Rank {rank} has set learning_rate={other:g} at step {step}, where rank 0 has {rate:g}. Set it "
                    "on every rank alike, or on rank 0 alone: all ranks train with its rate.",
                    is_common=True,
                )
        self._optimizer.follow(rate)


def _check_data(checksums: Array, step: int) -> None:
    """Raise `ProtocolError` where replicas have read different batches."""
    ranks = [f"rank {rank}" for rank, each in enumerate(checksums) if each != checksums[0]]
    if ranks:
        raise ProtocolError(
            f"At step {step} {', '.join(ranks)} and rank 0 have read different batches. Every rank must read "
            "the same data in the same order: seed what shuffles or draws (distrib.set_random_seed, a seed of the "
            "loader), or use distrib.data.Dataset, whose shuffle the ranks agree on.",
            is_common=True,
        )


def _assigned(checksums: Array, step: int) -> str:
    """The error about replicas that assigned other values than the chief."""
    ranks = [f"rank {rank}" for rank, each in enumerate(checksums) if each != checksums[0]]
    return (
        f"At step {step} {', '.join(ranks)} and rank 0 have assigned different values to variables (set_weights, "
        "assign or load_weights in a callback, on some ranks only?). While a model is trained, assign the same on "
        "every rank."
    )
