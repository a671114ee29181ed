"""Layers from their configs, as they lie in a saved model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from distrib.nn import activations, initializers, regularizers
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

_PARTS: dict[str, Callable[[Mapping[str, Any]], object]] = {
    "activation": activations.from_config,
    "initializer": initializers.from_config,
    "regularizer": regularizers.from_config,
}


def from_config(config: Mapping[str, Any]) -> Layer:
    """The layer, not built, that `get_config` described.

    Raises:
        ConfigError: it is not a built-in layer, or has arguments or parts that are not built in.
    """
    arguments = dict(config)
    trainable = arguments.pop("trainable", True)
    for role, value in arguments.items():
        made = _PARTS.get(role.rpartition("_")[2])
        if made is not None and value is not None:
            arguments[role] = made(value)
    layer = REGISTRY.from_config(arguments)
    layer.trainable = bool(trainable)
    return layer
