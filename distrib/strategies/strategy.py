"""Strategy: the facade over the replicas, with the names of tf.distribute.

One process is one replica. `run` therefore calls the function once, here, and what it returns is this replica's
value; `reduce` and `gather` combine such values over all replicas and are collective.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from numpy.typing import ArrayLike

from distrib.base.arguments import HasArguments
from distrib.base.arrays import Array
from distrib.cluster.resolve import resolve
from distrib.cluster.resolvers import ClusterResolver, SimpleClusterResolver
from distrib.comm.reduce_op import ReduceOp
from distrib.data.pipeline.iteration import Iteration
from distrib.data.streams.distributed import (
    DistributedDataset,
    InputContext,
    ValueContext,
    distributed,
    from_function,
)
from distrib.nn.network import Network
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.strategies import scope
from distrib.strategies.update.training import Training
from distrib.strategies.update.updater import NonFinitePolicy

T = TypeVar("T")


class Strategy(HasArguments):
    """Base of all strategies.

    Attributes:
        replicas_meet: whether all replicas take part in every update.
    """

    replicas_meet = True

    def scope(self) -> AbstractContextManager[Strategy]:
        """`with strategy.scope():` models made inside are trained by this strategy.

        Re-entrant. Raises `ConfigError` inside the scope of another strategy.
        """
        return scope.entered(self)

    @property
    @abstractmethod
    def num_replicas_in_sync(self) -> int:
        """Number of replicas whose gradients are combined in a step."""

    @property
    @abstractmethod
    def replica_id(self) -> int:
        """Which replica this process is, from 0."""

    @property
    @abstractmethod
    def is_chief(self) -> bool:
        """Whether this process shows progress and writes files: replica 0."""

    @property
    @abstractmethod
    def counters(self) -> dict[str, Any]:
        """Statistics of the communication, by name; empty where there is one replica."""

    def run(
        self, fn: Callable[..., T], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> T:
        """Call `fn(*args, **kwargs)` on this replica; every replica does so in its own process.

        Inside, `get_replica_context()` is this replica's.
        """
        with self.scope():
            return fn(*args, **(kwargs or {}))

    @abstractmethod
    def reduce(self, reduce_op: ReduceOp | str, value: ArrayLike, axis: int | None = None) -> Array:
        """Combine a value over the replicas. Collective.

        Args:
            reduce_op: `"SUM"`, `"MEAN"`, `"MAX"` or `"MIN"`.
            value: this replica's value, of the same shape and dtype on all; with `axis`, lengths along it may differ.
            axis: also combine along this axis of the value. A MEAN then divides by the number of elements on
                all replicas, so each element has the same weight.

        Returns:
            The combined value, the same on every replica.
        """

    @abstractmethod
    def gather(self, value: ArrayLike, axis: int = 0) -> Array:
        """The replicas' values joined along `axis`, in replica order. Collective.

        Raises:
            ProtocolError: the replicas' values differ in dtype, or in another axis than `axis`.
        """

    @abstractmethod
    def barrier(self) -> None:
        """Return when every replica has called it. Collective."""

    @abstractmethod
    def training(
        self,
        network: Network,
        optimizer: Optimizer,
        on_nonfinite: NonFinitePolicy,
        description: Mapping[str, Any],
    ) -> Training:
        """Begin a training. Collective.

        Args:
            network: the network to train.
            optimizer: its optimizer.
            on_nonfinite: what to do about a NaN or Inf in the gradient.
            description: what this replica is about to do, as nested JSON values; the replicas have agreed on it, or
                parameter servers compare it.
        """

    def goes_on_with(self, training: Training) -> bool:
        """Whether a training of a loop of one's own can take its next update; otherwise it has to be begun again.

        Args:
            training: begun under this strategy.

        Raises:
            ConfigError: the loop of another optimizer is under way, and this strategy has one at a time.
        """
        return True

    @property
    def cluster_resolver(self) -> ClusterResolver:
        """Who this process is, and which others there are."""
        task = resolve()
        return SimpleClusterResolver(task.cluster, task_type=task.type, task_id=task.index)

    def experimental_local_results(self, value: T) -> tuple[T]:
        """The values of the replicas of this process: there is one.

        Args:
            value: what `run` returned.
        """
        return (value,)

    def experimental_distribute_dataset(self, dataset: Any, options: Any = None) -> DistributedDataset:
        """The parts that this replica computes of the batches of a data set, for a loop of one's own.

        A batch is that of all replicas together, and each takes its part, as in `fit`. With `AutoShardPolicy.OFF`
        every replica goes through all of them, in batches of its share.

        Args:
            dataset: a `Dataset` of batches, the same on every replica.
            options: without effect.

        Raises:
            ConfigError: no `Dataset`, or `AutoShardPolicy.FILE`.
        """
        return distributed(dataset, self.replica_id, self.num_replicas_in_sync, self._data_seed)

    def distribute_datasets_from_function(
        self, dataset_fn: Callable[[InputContext], Any], options: Any = None
    ) -> DistributedDataset:
        """Batches that each replica makes for itself.

        Args:
            dataset_fn: takes an `InputContext`, and returns a `Dataset` of batches of one replica's size.
            options: without effect.
        """
        return from_function(dataset_fn, self.replica_id, self.num_replicas_in_sync, self._data_seed)

    def experimental_distribute_values_from_function(self, value_fn: Callable[[ValueContext], T]) -> T:
        """The value that a function makes for this replica.

        Args:
            value_fn: takes a `ValueContext`.
        """
        return value_fn(ValueContext(self.replica_id, self.num_replicas_in_sync))

    def _data_seed(self) -> int:
        return self.seed_of_chief(Iteration.default_seed())

    def agree(self, description: Mapping[str, Any]) -> None:
        """Make sure that all replicas are about to do the same thing. Collective where replicas meet.

        Args:
            description: what this replica is about to do, as nested JSON values.

        Raises:
            ProtocolError: on every replica, if they differ; the message shows the differences.
        """

    def seed_of_chief(self, seed: int) -> int:
        """The seed of rank 0, on every replica that meets others; the own one elsewhere. Collective.

        Args:
            seed: this replica's, from 0 on.
        """
        return seed

    def gather_bytes(self, data: bytes) -> list[bytes]:
        """What every replica passes, in replica order. Where replicas do not meet, this one's alone. Collective."""
        return [data]

    def confirm(self) -> None:
        """Raise `PeerLostError` if the other replicas have given this one up. Costs no message."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} replica {self.replica_id} of {self.num_replicas_in_sync}>"
