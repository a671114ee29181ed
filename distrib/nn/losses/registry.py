"""Losses by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrib.nn.losses.crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from distrib.nn.losses.loss import Loss
from distrib.nn.losses.regression import MeanAbsoluteError, MeanSquaredError
from distrib.nn.registry import Registry

REGISTRY: Registry[Loss] = Registry(
    "loss",
    Loss,
    {
        "binary_crossentropy": BinaryCrossentropy,
        "categorical_crossentropy": CategoricalCrossentropy,
        "mean_absolute_error": MeanAbsoluteError,
        "mean_squared_error": MeanSquaredError,
        "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
        "mae": MeanAbsoluteError,
        "mse": MeanSquaredError,
    },
)


def get(identifier: str | Loss) -> Loss:
    """The loss of that name, or `identifier` itself. Raises `ConfigError` for unknown names."""
    return REGISTRY.get(identifier)


def from_config(config: Mapping[str, Any]) -> Loss:
    """The loss that a config with its `"class"` describes. Raises `ConfigError` unless it is built in."""
    return REGISTRY.from_config(config)
