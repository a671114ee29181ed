"""Layers, one a file, with Keras' names and defaults."""

from distrib.nn.layers.core.activation import Activation
from distrib.nn.layers.core.dense import Dense
from distrib.nn.layers.core.dropout import Dropout
from distrib.nn.layers.core.input import Input, InputLayer
from distrib.nn.layers.layer import Layer
from distrib.nn.layers.reshaping.flatten import Flatten

__all__ = ["Activation", "Dense", "Dropout", "Flatten", "Input", "InputLayer", "Layer"]


def __dir__() -> list[str]:
    return __all__
