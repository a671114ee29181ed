"""ReplicaContext: what a function under `strategy.run` can do across replicas."""

from __future__ import annotations

from numpy.typing import ArrayLike

from distrib.base.arrays import Array
from distrib.comm.reduce_op import ReduceOp
from distrib.strategies.default import get_strategy
from distrib.strategies.strategy import Strategy


class ReplicaContext:
    """One replica among `num_replicas_in_sync`.

    Args:
        strategy: the strategy the replica belongs to.
    """

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy

    @property
    def replica_id_in_sync_group(self) -> int:
        """Which replica this is, from 0."""
        return self.strategy.replica_id

    @property
    def num_replicas_in_sync(self) -> int:
        """Number of replicas."""
        return self.strategy.num_replicas_in_sync

    def all_reduce(self, reduce_op: ReduceOp | str, value: ArrayLike) -> Array:
        """Combine this replica's value with those of all others. Collective.

        Args:
            reduce_op: `"SUM"`, `"MEAN"`, `"MAX"` or `"MIN"`.
            value: of the same shape and dtype on every replica.

        Returns:
            The combined value, the same on every replica.
        """
        return self.strategy.reduce(reduce_op, value)


def get_replica_context() -> ReplicaContext:
    """The context of this process's replica under the current strategy."""
    return ReplicaContext(get_strategy())
