"""Sequential: layers in a row. Building and reading it happen on this replica alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.base.arrays import Array, Shape
from distrib.base.console import show
from distrib.base.errors import ConfigError, ShapeError
from distrib.nn.layers.core.input import Input
from distrib.nn.layers.layer import Layer, check_shape
from distrib.nn.network import Network
from distrib.nn.variable import Variable
from distrib.training.model import Model
from distrib.training.summary import summary_table


class Sequential(Model):
    """Layers in a row, with Keras' `compile`, `fit`, `evaluate` and `predict`.

    Belongs to the strategy whose scope is open when it is made.

    Layers may be in other models too. They keep their values, and models that share layers, under the same or another
    strategy, can be trained in turns: each begins with what the others have made of them.

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
        self._layers: dict[str, Layer] = {}  # by their names in this model
        for layer in layers:
            self.add(layer)

    def add(self, layer: Layer) -> None:
        """Append a layer. One that has weights keeps them, and so do the layers before it.

        A layer that was made without a name is numbered within the model: `dense`, `dense_1`. What the optimizer has
        learnt does not fit any more, so a model that was trained must be compiled again.

        Raises:
            ConfigError: not a layer, a name that is taken, an `Input` that is not the first, or the model is
                being trained.
            ShapeError: it does not fit behind the layers before it.
        """
        if not isinstance(layer, Layer):
            raise ConfigError(
                f"Sequential expects layers. Received: {layer!r} of type {type(layer).__name__}."
            )
        self._check_not_training("add")
        if isinstance(layer, Input) and self._layers:
            raise ConfigError("Input declares the shape of the model's inputs and must be its first layer.")
        if any(layer is each for each in self._layers.values()):
            raise ConfigError(f"Layer '{layer.name}' is in model '{self.name}' already. Make another one.")
        name = layer.name
        if not layer.is_named:
            name = _unique(_snake_case(type(layer).__name__), self._layers)
        elif name in self._layers:
            raise ConfigError(f"All layers of a model have names of their own. Received twice: '{name}'.")
        layers = {**self._layers, name: layer}
        shape = _input_shape(layers)
        if shape is not None and any(not isinstance(each, Input) for each in layers.values()):
            self._check_layers(layers, shape)
        layer.name = layer.name or name
        self._change(layers)

    def pop(self) -> Layer:
        """Take the last layer away, and return it. As for `add`, the others keep their weights.

        Raises:
            ConfigError: there is none, or the model is being trained.
        """
        self._check_not_training("pop")
        if not self.layers:
            raise ConfigError(f"Model '{self.name}' has no layers.")
        layers = dict(self._layers)
        _, layer = layers.popitem()
        self._change(layers)
        return layer

    def _change(self, layers: dict[str, Layer]) -> None:
        """Go on with other layers."""
        self._layers = layers
        if self._network is not None:
            self._network = None
            self._session.forget()
            compiled = self._session.compile_config
            if compiled is not None and compiled.optimizer.iterations:
                self._session.compile_config = None

    def _check_layers(self, layers: Mapping[str, Layer], input_shape: Shape) -> None:
        """Raise `ShapeError` now if the layers do not fit together, not when training begins."""
        shape = input_shape
        for layer in layers.values():
            layer.check_built_for(shape, self.dtype)
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
            layers = {name: layer for name, layer in self._layers.items() if not isinstance(layer, Input)}
            self._check_layers(layers, input_shape)
            frozen = self._frozen_now() if self._frozen is None else self._frozen
            self._network = Network(layers, input_shape, self.dtype, self.seed, frozen)
        return self._network

    def _built(self, example_shape: Shape | None = None) -> Network:
        if self._network is not None:
            return self._network
        shape = _input_shape(self._layers)
        shape = example_shape if shape is None else shape
        if shape is None:
            raise ConfigError(
                f"Model '{self.name}' is not built: its input shape is unknown. Begin with Input((784,)), pass "
                "input_shape= to the first layer, or call build((None, 784))."
            )
        return self._build(shape)

    def _frozen_now(self) -> set[str]:
        return {name for name, layer in self._layers.items() if not (self.trainable and layer.trainable)}

    @property
    def layers(self) -> list[Layer]:
        """The layers, without `Input`."""
        return [layer for layer in self._layers.values() if not isinstance(layer, Input)]

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
        return list(self._built().variables.values())

    weights = variables

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that an optimizer may update."""
        self._built()
        frozen = self._frozen_now()
        trainable = [layer for name, layer in self._layers.items() if name not in frozen]
        return [v for layer in trainable for v in layer.variables if v.trainable]

    trainable_weights = trainable_variables

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name or index. Raises `ConfigError` if there is none."""
        layers = {each: layer for each, layer in self._layers.items() if not isinstance(layer, Input)}
        for position, (known_name, layer) in enumerate(layers.items()):
            if known_name == name or position == index:
                return layer
        known = list(layers)
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
        variables = self._built().variables
        arrays = [np.asarray(weight) for weight in weights]
        shapes = [variable.shape for variable in variables.values()]
        if [array.shape for array in arrays] != shapes:
            raise ShapeError(
                f"Model '{self.name}' expects weights of shapes {shapes}. "
                f"Received: {[array.shape for array in arrays]}."
            )
        self.files.assign(dict(zip(variables, arrays, strict=True)))

    def summary(self, print_fn: Callable[[str], Any] = show) -> None:
        """Print a table of the layers, their output shapes and numbers of parameters."""
        network = self._built()
        trainable = sum(variable.size for variable in self.trainable_variables)
        for line in summary_table(self.name, network, trainable):
            print_fn(line)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _input_shape(layers: Mapping[str, Layer]) -> Shape | None:
    """Shape of one example: as declared, or as the first layer's weights have it; None if nothing says so."""
    first = next(iter(layers.values()), None)
    if first is None or first.declared_input_shape is not None:
        return None if first is None else first.declared_input_shape
    return first.input_shape if first.variables else None


def _unique(name: str, taken: Container[str]) -> str:
    """`dense`, `dense_1`, ...: numbered within the model, so that other models do not change the names."""
    number = 0
    while (numbered := f"{name}_{number}" if number else name) in taken:
        number += 1
    return numbered
