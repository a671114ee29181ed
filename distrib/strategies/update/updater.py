"""Updater: the two calls between a replica's gradient and everybody's next values.

updater.pull()
batch_sums = network.train_on(x, y, ...)
total = updater.push(batch_sums)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, TypeAlias

from distrib.nn.batch_sums import BatchSums

NonFinitePolicy: TypeAlias = Literal["raise", "skip", "allow"]
"""What to do about NaN or Inf in a gradient: raise an error, leave out the step everywhere, or go on."""


class Updater(ABC):
    """Combines the replicas' gradients and updates the values of one network."""

    filled: Callable[[int], None] | None = None
    """To be called while the gradient is computed, from its end: all elements from here on are final. None if nobody
    makes use of it."""

    def abandon(self) -> None:  # noqa: B027
        """An exception has left a step while its gradient was computed: what was begun with it is ended."""

    def begin_own_step(self) -> None:  # noqa: B027
        """A step of a loop of one's own begins, to whose gradients `push` belongs."""

    @abstractmethod
    def pull(self) -> None:
        """Make the values current before a step."""

    @abstractmethod
    def push(self, batch_sums: BatchSums) -> BatchSums:
        """Combine gradients and sums over the replicas, and update the values.

        Args:
            batch_sums: this replica's sums for the batch whose gradient is in the network's buffer.

        Returns:
            The sums over all replicas, the same bits on each. Valid until the next call.

        Raises:
            NonFiniteError: a gradient holds NaN or Inf and the policy is `"raise"`.
        """

    def finalize(self) -> None:  # noqa: B027
        """Training is over: overwrite the values with their moving averages, if the optimizer keeps any."""

    @property
    def is_settled(self) -> bool:
        """Whether every gradient that was pushed has become an update."""
        return True

    def settle(self) -> BatchSums | None:
        """Do what is still undone at the end of an epoch.

        Returns:
            The sums that no `push` has returned yet, over all replicas; None if there are none.
        """
        return None
