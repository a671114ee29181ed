"""Layers, one a file, with Keras' names and defaults."""

from distrib.nn.layers.activation import Activation
from distrib.nn.layers.base import Layer
from distrib.nn.layers.dense import Dense
from distrib.nn.layers.dropout import Dropout
from distrib.nn.layers.flatten import Flatten
from distrib.nn.layers.input import Input

__all__ = ["Activation", "Dense", "Dropout", "Flatten", "Input", "Layer"]


def __dir__() -> list[str]:
    return __all__
