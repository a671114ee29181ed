"""Optimizers by name."""

from __future__ import annotations

from distrib.nn.optimizers.adam import Adam
from distrib.nn.optimizers.base import Optimizer
from distrib.nn.optimizers.sgd import SGD
from distrib.nn.registry import Registry

_REGISTRY: Registry[Optimizer] = Registry("optimizer", Optimizer, {"adam": Adam, "sgd": SGD})


def get(identifier: str | Optimizer) -> Optimizer:
    """The optimizer of that name, or `identifier` itself. Raises `ConfigError` for unknown names."""
    return _REGISTRY.get(identifier)
