"""Sequential: layers in a row. Building and reading it happen on this replica alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.arrays import Array, Shape
from distrib.errors import ConfigError, ShapeError
from distrib.nn.layers.base import Layer, check_shape
from distrib.nn.layers.input import Input
from distrib.nn.network import Network
from distrib.nn.variable import Variable
from distrib.training.model import Model
from distrib.training.summary import summary_table


class Sequential(Model):
    """Layers in a row, with Keras' `compile`, `fit`, `evaluate` and `predict`.

    Belongs to the strategy whose scope is open when it is made.

    Args:
        layers: the layers, in order; more can be added.
        name: name of the model.
        dtype: `"float32"` or `"float64"`, for variables and computation.
        seed: seed of initial values, dropout masks and shuffling; by default that of `set_random_seed`.

    Raises:
        ConfigError: an unknown dtype, or layers that do not make a model.
        ShapeError: layers that do not fit together.
    """

    def __init__(
        self,
        layers: Sequence[Layer] = (),
        name: str | None = None,
        dtype: str | np.dtype[Any] = "float32",
        seed: int | None = None,
    ) -> None:
        super().__init__(name, dtype, seed)
        self._layers: list[Layer] = []
        for layer in layers:
            self.add(layer)

    def add(self, layer: Layer) -> None:
        """Append a layer.

        Raises:
            ConfigError: not a layer, a name that is taken, an `Input` that is not the first, or the
                model is built.
        """
        if not isinstance(layer, Layer):
            raise ConfigError(
                f"Sequential expects layers. Received: {layer!r} of type {type(layer).__name__}."
            )
        if self._network is not None:
            raise ConfigError(f"Model '{self.name}' is built; layers cannot be added any more.")
        if isinstance(layer, Input) and self._layers:
            raise ConfigError("Input declares the shape of the model's inputs and must be its first layer.")
        taken = {other.name for other in self._layers}
        if not layer.name:
            layer.name = _unique(_snake_case(type(layer).__name__), taken)
        elif layer.name in taken:
            raise ConfigError(
                f"All layers of a model have names of their own. Received twice: '{layer.name}'."
            )
        self._layers.append(layer)
        declared = self._layers[0].declared_input_shape
        if declared is not None and any(not isinstance(each, Input) for each in self._layers):
            self._check_layers(declared)

    def _check_layers(self, input_shape: Shape) -> None:
        """Raise `ShapeError` now if the layers do not fit together, not when training begins."""
        shape = input_shape
        for layer in self._layers:
            shape = layer.compute_output_shape(shape)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the variables.

        Args:
            input_shape: shape of a batch, its first size None: `(None, 784)`.

        Raises:
            ShapeError: the layers do not fit together.
            ConfigError: no layers.
        """
        self._build(check_shape(tuple(input_shape)[1:]))

    def _build(self, input_shape: Shape) -> Network:
        if self._network is None:
            if not self.layers:
                raise ConfigError(f"Model '{self.name}' has no layers. Add some first.")
            self._network = Network(self.layers, input_shape, self.dtype, self.seed)
        return self._network

    def _built(self, example_shape: Shape | None = None) -> Network:
        if self._network is not None:
            return self._network
        shape = self._layers[0].declared_input_shape if self._layers else None
        shape = example_shape if shape is None else shape
        if shape is None:
            raise ConfigError(
                f"Model '{self.name}' is not built: its input shape is unknown. Begin with Input((784,)), pass "
                "input_shape= to the first layer, or call build((None, 784))."
            )
        return self._build(shape)

    @property
    def layers(self) -> list[Layer]:
        """The layers, without `Input`."""
        return [layer for layer in self._layers if not isinstance(layer, Input)]

    @property
    def built(self) -> bool:
        """Whether the variables exist."""
        return self._network is not None

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of a batch of inputs; the first size is None."""
        return (None, *self._built().input_shape)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Shape of a batch of outputs; the first size is None."""
        return (None, *self._built().output_shape)

    @property
    def variables(self) -> list[Variable]:
        """All variables, layer by layer."""
        return self._built().variables

    weights = variables

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that an optimizer may update."""
        layers = self._built().layers
        return [v for layer in layers for v in layer.variables if layer.trainable and v.trainable]

    trainable_weights = trainable_variables

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name or index. Raises `ConfigError` if there is none."""
        for position, layer in enumerate(self.layers):
            if layer.name == name or position == index:
                return layer
        known = [layer.name for layer in self.layers]
        raise ConfigError(f"No layer with name={name!r}, index={index}. The model has {known}.")

    def count_params(self) -> int:
        """Number of elements of all variables."""
        return sum(variable.size for variable in self.variables)

    def get_weights(self) -> list[Array]:
        """Copies of the values of all variables, in the order of `variables`."""
        return [variable.numpy() for variable in self.variables]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Overwrite the values of all variables, on this replica. `fit` begins with those of rank 0.

        Raises:
            ShapeError: another number of arrays, or another shape; nothing is overwritten.
        """
        variables = self.variables
        arrays = [np.asarray(weight) for weight in weights]
        if [array.shape for array in arrays] != [variable.shape for variable in variables]:
            raise ShapeError(
                f"Model '{self.name}' expects weights of shapes {[v.shape for v in variables]}. "
                f"Received: {[array.shape for array in arrays]}."
            )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print a table of the layers, their output shapes and numbers of parameters."""
        network = self._built()
        for line in summary_table(self.name, network):
            print_fn(line)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _unique(name: str, taken: set[str]) -> str:
    """`dense`, `dense_1`, ...: numbered within the model, so that other models do not change the names."""
    number = 0
    while (numbered := f"{name}_{number}" if number else name) in taken:
        number += 1
    return numbered
