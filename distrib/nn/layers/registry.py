"""Layers from their configs, as they lie in a saved model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrib.nn.layers.core.activation import Activation
from distrib.nn.layers.core.dense import Dense
from distrib.nn.layers.core.dropout import Dropout
from distrib.nn.layers.layer import Layer
from distrib.nn.layers.reshaping.flatten import Flatten
from distrib.nn.registry import Registry

REGISTRY: Registry[Layer] = Registry(
    "layer",
    Layer,
    {"activation": Activation, "dense": Dense, "dropout": Dropout, "flatten": Flatten},
)


def from_config(config: Mapping[str, Any]) -> Layer:
    """The layer, not built, that `get_config` described.

    Raises:
        ConfigError: it is not a built-in layer, or has arguments or parts that are not built in.
    """
    layer_class = REGISTRY.class_of(config)
    return layer_class.from_config(config)
