"""Updater: the two calls between a replica's gradient and everybody's next values.

updater.pull()
tally = network.train_on(x, y, ...)
total = updater.push(tally)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, TypeAlias

from distrib.nn.tally import Tally

NonFinitePolicy: TypeAlias = Literal["raise", "skip", "allow"]
"""What to do about NaN or Inf in a gradient: raise an error, leave out the step everywhere, or go on."""


class Updater(ABC):
    """Combines the replicas' gradients and updates the values of one network."""

    @abstractmethod
    def pull(self) -> None:
        """Make the values current before a step."""

    def filled(self, begin: int) -> None:  # noqa: B027  (most have nothing to do)
        """Called while the gradient is computed: all its elements from `begin` on are final."""

    @abstractmethod
    def push(self, tally: Tally) -> Tally:
        """Combine gradients and sums over the replicas, and update the values.

        Args:
            tally: this replica's sums for the batch whose gradient is in the network's buffer.

        Returns:
            The sums over all replicas, the same bits on each. Valid until the next call.

        Raises:
            NonFiniteError: a gradient holds NaN or Inf and the policy is `"raise"`.
        """

    def settle(self) -> Tally | None:
        """Do what is still undone at the end of an epoch.

        Returns:
            The sums that no `push` has returned yet, over all replicas; None if there are none.
        """
        return None

    @abstractmethod
    def total(self, tally: Tally) -> Tally:
        """The sums over all replicas, without an update. Collective; same bits on each replica."""
