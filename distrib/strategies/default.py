"""DefaultStrategy: one process, one replica. What `get_strategy()` returns outside of every scope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrib.comm.collectives.single import SingleCommunicator
from distrib.nn.network import Network
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.strategies import scope
from distrib.strategies.collective_strategy import CollectiveStrategy
from distrib.strategies.strategy import Strategy
from distrib.strategies.update.sharded_state import sharded_training
from distrib.strategies.update.training import Training
from distrib.strategies.update.updater import NonFinitePolicy


class DefaultStrategy(CollectiveStrategy):
    """Trains in this process alone, whatever started it."""

    def __init__(self) -> None:
        self.communicator = SingleCommunicator()

    def training(
        self,
        network: Network,
        optimizer: Optimizer,
        on_nonfinite: NonFinitePolicy,
        description: Mapping[str, Any],
    ) -> Training:
        return sharded_training(self.communicator, network, optimizer, on_nonfinite)


_DEFAULT = DefaultStrategy()


def get_strategy() -> Strategy:
    """The strategy of the scope that is open in this thread; the default strategy outside of all scopes."""
    strategy: Strategy | None = scope.current()
    return strategy or _DEFAULT


def has_strategy() -> bool:
    """Whether a scope is open in this thread."""
    return scope.current() is not None
