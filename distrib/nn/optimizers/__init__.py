"""Optimizers, one a file, with Keras' names, defaults and order of operations."""

from distrib.nn.optimizers.adam import Adam
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.registry import from_config, get
from distrib.nn.optimizers.sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer", "from_config", "get"]


def __dir__() -> list[str]:
    return __all__
