"""Layer: the interface between the network and the kinds of layers.

A layer owns its variables and its scratch memory. Its `forward` keeps what its `backward` needs until the next
`forward`; `backward` *overwrites* the gradients of its variables with the sum over the examples of the batch.
Arrays that a layer returns are valid until its next call.

A layer can be in several models, and be trained by one while another predicts. So a network does not call the layers
it is given but twins of them, which have the same variables and scratch memory of their own.
"""

from __future__ import annotations

import copy
import math
import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.attributes import HasAttributes
from distrib.base.errors import ConfigError, ShapeError
from distrib.nn.activations import Activation
from distrib.nn.initializers import Initializer
from distrib.nn.regularizers import Regularizer
from distrib.nn.rng import RngKey
from distrib.nn.variable import Variable
from distrib.nn.workspace import Workspace


class Layer(HasAttributes):
    """Base of all layers.

    Args:
        name: unique in its model; by default the class name in snake case, numbered by the model.
        trainable: whether an optimizer may update the layer's variables. Read when a model is compiled.
        input_shape: shape of one example, without the batch, for the first layer of a model.

    Attributes:
        built: whether the variables exist. They are made once, whatever model the layer is put into afterwards.
        max_elements: a variable is not made with more of them; set where a model is read from files.
        variables: all variables, in Keras' order. Empty until built.
        regularizers: variable name -> its penalty.
        needs_input_gradient: set by the network; False where nothing below has anything to learn.
        gradients_are_final: set by the network; a layer may call it in `backward` as soon as it has written its
            variables' gradients, or with `begin` all but the first `begin` elements, to have them sent while it
            computes the rest.
        gradients_are_sent_early: set by the network; whether `gradients_are_final` has an effect.
    """

    draws_random_numbers: ClassVar[bool] = False

    def __init__(
        self, *, name: str | None = None, trainable: bool = True, input_shape: Shape | None = None
    ) -> None:
        if name is not None and not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name):
            raise ConfigError(
                f"A layer's name has 1 to 64 letters, digits, dots, underscores or dashes. Received: {name!r}."
            )
        self.name = name or ""
        self.is_named = name is not None
        self.trainable = trainable
        self.declared_input_shape = None if input_shape is None else check_shape(input_shape)
        self.input_shape: Shape = ()
        self.output_shape: Shape = ()
        self.dtype = np.dtype(np.float32)
        self.built = False
        self.max_elements: float = math.inf
        self.variables: list[Variable] = []
        self.regularizers: dict[str, Regularizer] = {}
        self.needs_input_gradient = True
        self.gradients_are_final: Callable[[int], None] = _nobody_waits
        self.gradients_are_sent_early = False
        self._scratch = Workspace()

    def build(self, input_shape: Shape, dtype: np.dtype[Any], seed: int) -> None:
        """Make the variables, unless they exist.

        Args:
            input_shape: shape of one example as it comes in.
            dtype: dtype to compute in.
            seed: seed of the initializers.

        Raises:
            ShapeError: the variables exist, for inputs of another shape.
            ConfigError: likewise, of another dtype.
        """
        self.check_built_for(input_shape, dtype)
        self.input_shape, self.dtype = input_shape, dtype
        self.output_shape = self.compute_output_shape(input_shape)
        if not self.variables:
            self.variables = self.make_variables(input_shape, seed)
        self.built = True

    def check_built_for(self, input_shape: Shape, dtype: np.dtype[Any]) -> None:
        """Raise what `build` raises, if there are variables for other inputs."""
        if not self.variables:
            return
        if input_shape != self.input_shape:
            raise ShapeError(
                f"{type(self).__name__} '{self.name}' has weights for inputs of shape {_batch(self.input_shape)}. "
                f"Received: {_batch(input_shape)}. Put a new layer there."
            )
        if dtype != self.dtype:
            raise ConfigError(
                f"{type(self).__name__} '{self.name}' has {self.dtype} weights. Received: a model of {dtype}. "
                f"Pass dtype='{self.dtype}' to the model, or put a new layer there."
            )

    def twin(self, name: str) -> Self:
        """The same variables under another name, with scratch memory of its own."""
        twin = copy.copy(self)
        twin.name, twin._scratch = name, Workspace()
        return twin

    def make_variables(self, input_shape: Shape, seed: int) -> list[Variable]:
        """The layer's new variables, in order; none by default."""
        return []

    def add_variable(self, role: str, shape: Shape, initializer: Initializer, seed: int) -> Variable:
        """A new variable, named by the layer and its role in it.

        Args:
            role: such as `"kernel"`.
            shape: its shape.
            initializer: draws its first value.
            seed: of the model.

        Raises:
            ConfigError: it has more elements than `max_elements`.
        """
        name = f"{self.name}/{role}"
        if math.prod(shape) > self.max_elements:
            raise ConfigError(
                f"{name} of shape {shape} has more elements than the files: {self.max_elements}."
            )
        return Variable(initializer(shape, self.dtype, seed=seed, name=name), name=name)

    @abstractmethod
    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape of one example as it leaves. Raises `ShapeError` if it cannot come in."""

    @abstractmethod
    def forward(self, x: Array, draw: RngKey | None) -> Array:
        """Compute the outputs of a batch.

        Args:
            x: `(batch, *input_shape)`. Not modified.
            draw: which random numbers to draw while training; None when not training.

        Returns:
            `(batch, *output_shape)`, valid until the next call.
        """

    @abstractmethod
    def backward(self, d_y: Array) -> Array:
        """Write the variables' gradients for the last forward pass, and return that of its input.

        Args:
            d_y: `(batch, *output_shape)`, gradient of the summed loss. May be overwritten.

        Returns:
            `(batch, *input_shape)`; unspecified where `needs_input_gradient` is False.
        """

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer, as JSON values: compared between replicas and shown in errors."""
        return {"class": type(self).__name__, "name": self.name, "trainable": self.trainable}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{self.name}'>"


def _batch(shape: Shape) -> str:
    return f"({', '.join(['batch', *map(str, shape)])})"


def _nobody_waits(begin: int) -> None:
    pass


class ActivatedLayer(Layer):
    """A layer that ends in an activation function: `activation(linear(x))`.

    The two halves can be called apart. A network whose last activation is a softmax or a sigmoid, and whose
    loss is the cross-entropy of its result, leaves the activation out: the loss computes both at once,
    exactly and without overflow.
    """

    activation: Activation

    def twin(self, name: str) -> Self:
        twin = super().twin(name)
        twin.activation = self.activation.twin()
        return twin

    @abstractmethod
    def linear(self, x: Array) -> Array:
        """The input of the activation, in memory of this layer."""

    @abstractmethod
    def linear_backward(self, d_z: Array) -> Array:
        """As `backward`, from the gradient of what `linear` returned."""

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        z = self.linear(x)
        self._z = z
        self._y = self._scratch.like("activated", z) if self.activation.needs_input else z
        self.activation.forward(z, self._y)
        return self._y

    def backward(self, d_y: Array) -> Array:
        self.activation.backward(d_y, self._z, self._y)
        return self.linear_backward(d_y)


def check_shape(shape: Sequence[Any]) -> Shape:
    """`shape` as a tuple of positive ints. Raises `ConfigError` for anything else."""
    try:
        sizes = tuple(shape)
    except TypeError:
        sizes = (shape,)
    if not all(isinstance(size, int | np.integer) and size > 0 for size in sizes):
        raise ConfigError(
            "Expected the shape of one example, without the batch, as positive ints, such as (784,). "
            f"Received: {shape!r}."
        )
    return tuple(int(size) for size in sizes)
