"""Layers from their configs, as they lie in a saved model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrib.nn.layers.activations.functions import ELU, LeakyReLU, ReLU, Softmax
from distrib.nn.layers.activations.prelu import PReLU
from distrib.nn.layers.core.activation import Activation
from distrib.nn.layers.core.dense import Dense
from distrib.nn.layers.core.dropout import Dropout
from distrib.nn.layers.core.identity import ActivityRegularization, Identity
from distrib.nn.layers.core.masking import Masking
from distrib.nn.layers.core.noise import GaussianDropout, GaussianNoise
from distrib.nn.layers.layer import Layer
from distrib.nn.layers.merging.concatenate import Concatenate
from distrib.nn.layers.merging.dot import Dot
from distrib.nn.layers.merging.elementwise import Add, Average, Maximum, Minimum, Multiply, Subtract
from distrib.nn.layers.normalization.unit_normalization import UnitNormalization
from distrib.nn.layers.preprocessing.normalization import Normalization
from distrib.nn.layers.preprocessing.rescaling import Rescaling
from distrib.nn.layers.reshaping.flatten import Flatten
from distrib.nn.layers.reshaping.permute import Permute
from distrib.nn.layers.reshaping.repeat_vector import RepeatVector
from distrib.nn.layers.reshaping.reshape import Reshape
from distrib.nn.registry import Registry

REGISTRY: Registry[Layer] = Registry(
    "layer",
    Layer,
    {
        "activation": Activation,
        "activity_regularization": ActivityRegularization,
        "add": Add,
        "average": Average,
        "concatenate": Concatenate,
        "dense": Dense,
        "dot": Dot,
        "dropout": Dropout,
        "elu": ELU,
        "flatten": Flatten,
        "gaussian_dropout": GaussianDropout,
        "gaussian_noise": GaussianNoise,
        "identity": Identity,
        "leaky_re_lu": LeakyReLU,
        "masking": Masking,
        "maximum": Maximum,
        "minimum": Minimum,
        "multiply": Multiply,
        "normalization": Normalization,
        "pre_lu": PReLU,
        "permute": Permute,
        "re_lu": ReLU,
        "repeat_vector": RepeatVector,
        "rescaling": Rescaling,
        "reshape": Reshape,
        "softmax": Softmax,
        "subtract": Subtract,
        "unit_normalization": UnitNormalization,
    },
)


def from_config(config: Mapping[str, Any]) -> Layer:
    """The layer, not built, that `get_config` described.

    Raises:
        ConfigError: it is not a built-in layer, or has arguments or parts that are not built in.
    """
    layer_class = REGISTRY.class_of(config)
    return layer_class.from_config(config)
