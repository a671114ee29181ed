"""Optimizers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.rules.adadelta import Adadelta
from distrib.nn.optimizers.rules.adafactor import Adafactor
from distrib.nn.optimizers.rules.adagrad import Adagrad
from distrib.nn.optimizers.rules.adam import Adam
from distrib.nn.optimizers.rules.adamax import Adamax
from distrib.nn.optimizers.rules.adamw import AdamW
from distrib.nn.optimizers.rules.ftrl import Ftrl
from distrib.nn.optimizers.rules.lamb import Lamb
from distrib.nn.optimizers.rules.lion import Lion
from distrib.nn.optimizers.rules.nadam import Nadam
from distrib.nn.optimizers.rules.rmsprop import RMSprop
from distrib.nn.optimizers.rules.sgd import SGD
from distrib.nn.registry import Registry

_CLASSES = (Adadelta, Adafactor, Adagrad, Adam, Adamax, AdamW, Ftrl, Lamb, Lion, Nadam, RMSprop, SGD)
REGISTRY: Registry[Optimizer] = Registry(
    "optimizer", Optimizer, {each.__name__.lower(): each for each in _CLASSES}
)


def get(identifier: str | Mapping[str, Any] | Optimizer) -> Optimizer:
    """The optimizer of that name or config, or `identifier` itself. Raises `ConfigError` for unknown names."""
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    return REGISTRY.get(identifier)


def from_config(config: Mapping[str, Any]) -> Optimizer:
    """The optimizer that `get_config` described. Raises `ConfigError` unless it is a built-in class."""
    return REGISTRY.from_config(config)


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with the defaults of the arguments that it lacks, as one that an earlier version has written."""
    return {**from_config(config).get_config(), **config}


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """The config of an optimizer, with its class, as `deserialize` takes it."""
    config = optimizer.get_config()
    return {"class_name": config.pop("class"), "config": config}


def deserialize(config: Mapping[str, Any]) -> Optimizer:
    """The optimizer of a config: what `serialize` gives, or Keras' dict of `class_name` and `config`.

    Raises:
        ConfigError: not a built-in class, by its name in any case, or arguments that it does not have.
    """
    if "class_name" not in config:
        return from_config(config)
    named = {name.lower(): name for name in REGISTRY.classes}
    name = str(config["class_name"])
    return from_config({**config.get("config", {}), "class": named.get(name.lower(), name)})
