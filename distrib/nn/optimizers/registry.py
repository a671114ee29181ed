"""Optimizers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrib.nn.optimizers.adam import Adam
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.sgd import SGD
from distrib.nn.registry import Registry

REGISTRY: Registry[Optimizer] = Registry("optimizer", Optimizer, {"adam": Adam, "sgd": SGD})


def get(identifier: str | Optimizer) -> Optimizer:
    """The optimizer of that name, or `identifier` itself. Raises `ConfigError` for unknown names."""
    return REGISTRY.get(identifier)


def from_config(config: Mapping[str, Any]) -> Optimizer:
    """The optimizer that `get_config` described. Raises `ConfigError` unless it is a built-in class."""
    return REGISTRY.from_config(config)
