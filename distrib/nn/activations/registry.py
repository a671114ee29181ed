"""The activation functions by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from distrib.nn.activations.activation import Activation, Linear
from distrib.nn.activations.functions import CLASSES
from distrib.nn.activations.own_activation import FunctionActivation
from distrib.nn.activations.rectifiers import (
    Celu,
    Elu,
    HardShrink,
    LeakyRelu,
    Relu,
    Relu6,
    Selu,
    SoftShrink,
    Threshold,
)
from distrib.nn.activations.sigmoids import (
    HardSigmoid,
    HardTanh,
    Sigmoid,
    Softsign,
    SparseSigmoid,
    Tanh,
    TanhShrink,
)
from distrib.nn.activations.smooth import (
    Exponential,
    Gelu,
    HardSilu,
    LogSigmoid,
    Mish,
    Silu,
    Softplus,
    SparsePlus,
    Squareplus,
)
from distrib.nn.activations.softmax import LogSoftmax, Softmax, Sparsemax
from distrib.nn.custom_objects import get_registered_object
from distrib.nn.registry import Registry

REGISTRY: Registry[Activation] = Registry(
    "activation",
    Activation,
    {
        "celu": Celu,
        "elu": Elu,
        "exponential": Exponential,
        "gelu": Gelu,
        "hard_shrink": HardShrink,
        "hard_sigmoid": HardSigmoid,
        "hard_silu": HardSilu,
        "hard_swish": HardSilu,
        "hard_tanh": HardTanh,
        "leaky_relu": LeakyRelu,
        "linear": Linear,
        "log_sigmoid": LogSigmoid,
        "log_softmax": LogSoftmax,
        "mish": Mish,
        "relu": Relu,
        "relu6": Relu6,
        "selu": Selu,
        "sigmoid": Sigmoid,
        "silu": Silu,
        "soft_shrink": SoftShrink,
        "softmax": Softmax,
        "softplus": Softplus,
        "softsign": Softsign,
        "sparse_plus": SparsePlus,
        "sparse_sigmoid": SparseSigmoid,
        "sparsemax": Sparsemax,
        "squareplus": Squareplus,
        "swish": Silu,
        "tanh": Tanh,
        "tanh_shrink": TanhShrink,
        "threshold": Threshold,
    },
)


def get(identifier: str | Activation | Callable[..., Any] | None) -> Activation:
    """The activation of that name, or of a function, or `identifier` itself; None is linear.

    Raises:
        ConfigError: an unknown name.
    """
    if identifier is None:
        return Linear()
    if callable(identifier) and identifier in CLASSES:
        return CLASSES[identifier]()
    if callable(identifier) and not isinstance(identifier, str | Activation):
        return FunctionActivation(identifier)
    return REGISTRY.get(identifier)


def from_config(config: Mapping[str, Any]) -> Activation:
    """The activation that a config with its `"class"` describes.

    Raises:
        ConfigError: it is neither built in nor registered.
    """
    found = get_registered_object(str(config.get("class")))
    if callable(found) and not isinstance(found, type):
        return FunctionActivation(found)
    return REGISTRY.from_config(config)
