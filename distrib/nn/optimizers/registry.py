"""Optimizers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrib.nn.optimizers.adadelta import Adadelta
from distrib.nn.optimizers.adagrad import Adagrad
from distrib.nn.optimizers.adam import Adam
from distrib.nn.optimizers.adamax import Adamax
from distrib.nn.optimizers.adamw import AdamW
from distrib.nn.optimizers.ftrl import Ftrl
from distrib.nn.optimizers.lion import Lion
from distrib.nn.optimizers.nadam import Nadam
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.rmsprop import RMSprop
from distrib.nn.optimizers.sgd import SGD
from distrib.nn.registry import Registry

_CLASSES = (Adadelta, Adagrad, Adam, Adamax, AdamW, Ftrl, Lion, Nadam, RMSprop, SGD)
REGISTRY: Registry[Optimizer] = Registry(
    "optimizer", Optimizer, {each.__name__.lower(): each for each in _CLASSES}
)


def get(identifier: str | Optimizer) -> Optimizer:
    """The optimizer of that name, or `identifier` itself. Raises `ConfigError` for unknown names."""
    return REGISTRY.get(identifier)


def from_config(config: Mapping[str, Any]) -> Optimizer:
    """The optimizer that `get_config` described. Raises `ConfigError` unless it is a built-in class."""
    return REGISTRY.from_config(config)


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with the defaults of the arguments that it lacks, as one that an earlier version has written."""
    return {**from_config(config).get_config(), **config}
