"""Layers, one a file, with Keras' names and defaults."""

from distrib.nn.layers.activations.functions import ELU, LeakyReLU, ReLU, Softmax
from distrib.nn.layers.activations.prelu import PReLU
from distrib.nn.layers.core.activation import Activation
from distrib.nn.layers.core.dense import Dense
from distrib.nn.layers.core.dropout import Dropout
from distrib.nn.layers.core.identity import ActivityRegularization, Identity
from distrib.nn.layers.core.input import Input, InputLayer
from distrib.nn.layers.core.lambda_layer import Lambda
from distrib.nn.layers.core.masking import Masking
from distrib.nn.layers.core.noise import GaussianDropout, GaussianNoise
from distrib.nn.layers.layer import Layer
from distrib.nn.layers.merging.concatenate import Concatenate
from distrib.nn.layers.merging.dot import Dot
from distrib.nn.layers.merging.elementwise import Add, Average, Maximum, Minimum, Multiply, Subtract
from distrib.nn.layers.merging.functions import (
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from distrib.nn.layers.normalization.unit_normalization import UnitNormalization
from distrib.nn.layers.preprocessing.normalization import Normalization
from distrib.nn.layers.preprocessing.rescaling import Rescaling
from distrib.nn.layers.reshaping.flatten import Flatten
from distrib.nn.layers.reshaping.permute import Permute
from distrib.nn.layers.reshaping.repeat_vector import RepeatVector
from distrib.nn.layers.reshaping.reshape import Reshape

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "Average",
    "Concatenate",
    "Dense",
    "Dot",
    "Dropout",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "Input",
    "InputLayer",
    "Lambda",
    "Layer",
    "LeakyReLU",
    "Masking",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Softmax",
    "Subtract",
    "UnitNormalization",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]


def __dir__() -> list[str]:
    return __all__
