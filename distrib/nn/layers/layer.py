"""Layer: the interface between the network and the kinds of layers.

A layer owns its variables and its scratch memory. Its `forward` keeps what its `backward` needs until the next
`forward`; `backward` *overwrites* the gradients of its variables with the sum over the examples of the batch.
Arrays that a layer returns are valid until its next call.

A layer can be in several models, and be trained by one while another predicts. So a network does not call the layers
it is given but twins of them, which have the same variables and scratch memory of their own.
"""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from distrib.base.arrays import Shape, training_dtype
from distrib.base.errors import ConfigError, ShapeError, StorageError
from distrib.nn import activations, constraints, initializers, regularizers
from distrib.nn.custom_objects import get_registered_name
from distrib.nn.graph.symbolic import Node, call, is_symbolic
from distrib.nn.initializers import Initializer
from distrib.nn.layers.eager import applied
from distrib.nn.layers.has_call import HasCall
from distrib.nn.layers.parts import Parts
from distrib.nn.layers.shapes import declared_shape, snake_case
from distrib.nn.registry import made_with
from distrib.nn.variable import Variable
from distrib.nn.workspace import Workspace

_serial = itertools.count()
_KINDS = (activations, constraints, initializers, regularizers)
_PARTS = {kind.__name__.rpartition(".")[2].removesuffix("s"): kind for kind in _KINDS}


class Layer(HasCall):
    """Base of all layers.

    Args:
        name: unique in its model; by default the class name in snake case, numbered by the model.
        trainable: whether an optimizer may update the layer's variables. Read when a model is compiled.
        input_shape: shape of one example, without the batch, for the first layer of a model.
        dtype: of the model that it is for, as a check; models compute in one dtype.
        activity_regularizer: name or instance of a penalty on the outputs, as the mean over the examples.
        input_dim: instead of `input_shape=(input_dim,)`.
        batch_input_shape: instead of `input_shape`, with the batch, whose size is ignored.
        batch_shape: likewise.

    Attributes:
        serial: a number that layers are given in the order in which they are made.
        nodes: one for each call on symbolic tensors.
        built: whether the variables exist. They are made once, whatever model the layer is put into afterwards.
        max_elements: a variable is not made with more of them; set where a model is read from files.
        variables: all variables, in Keras' order. Empty until built.
        needs_input_gradient: set by the network; False where nothing below has anything to learn.
        learning: set by the network; the variables whose gradients are wanted.
        gradients_are_final: set by the network; a layer may call it in `backward` as soon as it has written its
            variables' gradients, or with `begin` all but the first `begin` elements, to have them sent while it
            computes the rest.
        gradients_are_sent_early: set by the network; whether `gradients_are_final` has an effect.
    """

    draws_random_numbers: ClassVar[bool] = False
    takes_several: bool = False
    """Whether it takes a list of inputs, of shapes in a list, and `backward` returns a list of gradients."""

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        input_shape: Any = None,
        dtype: Any = None,
        activity_regularizer: str | regularizers.Regularizer | None = None,
        input_dim: int | None = None,
        batch_input_shape: Any = None,
        batch_shape: Any = None,
    ) -> None:
        if name is not None and not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name):
            raise ConfigError(
                f"A layer's name has 1 to 64 letters, digits, dots, underscores or dashes. Received: {name!r}."
            )
        self.parts = Parts()
        self.name = name or ""
        self.is_named = name is not None
        self.serial = next(_serial)
        self.nodes: list[Node] = []
        self.trainable = trainable
        self.declared_input_shape = declared_shape(input_shape, input_dim, batch_input_shape, batch_shape)
        self.declared_dtype = None if dtype is None else training_dtype(dtype)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.input_shape: Shape = ()
        self.output_shape: Shape = ()
        self.dtype = self.declared_dtype or np.dtype(np.float32)
        self.built = False
        self.max_elements: float = math.inf
        self.needs_input_gradient = True
        self.gradients_are_final: Callable[[int], None] = _nobody_waits
        self.gradients_are_sent_early = False
        self.learning: list[Variable] = []
        self._scratch = Workspace()

    def build(self, input_shape: Any) -> None:
        """Make the variables, as in Keras; a model does it by itself.

        Args:
            input_shape: with the batch, whose size may be None; a list of shapes where it takes several inputs.
        """
        if self.has_call:  # what a subclass overrides, and may call
            self.built = True
            return
        shapes = [tuple(each)[1:] for each in input_shape] if self.takes_several else tuple(input_shape)[1:]
        self._prepare_alone(shapes)

    def _prepare_alone(self, input_shape: Any) -> None:
        if not self.built:
            self.name = self.name or f"{snake_case(type(self).__name__)}_{self.serial}"
            self.prepare(input_shape, self.dtype, self.serial)

    def prepare(self, input_shape: Shape, dtype: np.dtype[Any], seed: int) -> None:
        """Make the variables, unless they exist, and be ready for inputs of a shape.

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
        if self.has_call:
            self._prepare_own(input_shape, seed)
            return
        self.output_shape = self.compute_output_shape(input_shape)
        if not self.variables:
            self.variables = self.make_variables(input_shape, seed)
        self.built = True

    def check_built_for(self, input_shape: Shape, dtype: np.dtype[Any]) -> None:
        """Raise what `prepare` raises, if there are variables for other inputs."""
        if self.declared_dtype not in (None, dtype):
            raise ConfigError(
                f"{type(self).__name__} '{self.name}' was made with dtype={self.declared_dtype}. Received: a model "
                f"of {dtype}. Models compute in one dtype: pass it to the model."
            )
        if not self.variables:
            return
        if input_shape != self.input_shape and not self.has_call:
            raise ShapeError(
                f"{type(self).__name__} '{self.name}' has weights for inputs of shape {_batch(self.input_shape)}. "
                f"Received: {_batch(input_shape)}. Put a new layer there."
            )
        if dtype != self.dtype and any(each.trainable or not self.has_call for each in self.variables):
            raise ConfigError(
                f"{type(self).__name__} '{self.name}' has {self.dtype} weights. Received: a model of {dtype}. "
                f"Pass dtype='{self.dtype}' to the model, or put a new layer there."
            )

    def twin(self, name: str) -> Self:
        """The same variables under another name, with scratch memory of its own."""
        twin = copy.copy(self)
        twin.name, twin._scratch, twin._taped, twin._name_in_owner = name, Workspace(), None, None
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
            StorageError: it has more elements than `max_elements`.
        """
        name = f"{self.name}/{role}"
        if math.prod(shape) > self.max_elements:
            raise StorageError(
                f"{name} of shape {shape} has more elements than the files: {self.max_elements}."
            )
        return Variable(initializer(shape, self.dtype, seed=seed, name=name), name=name)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer. An open `GradientTape` records it.

        Args:
            inputs: a symbolic tensor, as `Input` returns it, or an array `(batch, ...)`; a list of them for a layer
                that takes several.
            args: `training`, or what `call` of a subclass takes.
            kwargs: likewise. False for `training` lets the layer do in training what it does in a prediction; by
                default it does as the layer or model in whose call it is.

        Returns:
            A symbolic tensor, or a tensor `(batch, ...)`: then the layer is built if it has to be.

        Raises:
            ShapeError: the layer cannot take inputs of these shapes.
            ConfigError: other arguments than it takes.
        """
        training = kwargs.pop("training", None)
        if not self.has_call and args:
            training, *args = args  # type: ignore[assignment]
        if is_symbolic(inputs):
            if args or kwargs:
                raise ConfigError(
                    f"{type(self).__name__} '{self.name}' takes one structure of symbolic tensors in a graph. "
                    f"Received: other arguments, {[*args, *kwargs]}. Pass tensors in a list; use a model by subclass "
                    "for others."
                )
            return call(self, inputs, training)
        if self.has_call:
            return self._call_own(inputs, tuple(args), kwargs, training)
        if args or kwargs.pop("mask", None) is not None or kwargs:
            raise ConfigError(
                f"{type(self).__name__} takes inputs and training. Received: {[*args, *kwargs]}."
            )
        return applied(self, inputs, training)

    def symbolic_outputs(self, input_shapes: list[Shape]) -> Shape:
        """Shape of one example of the output.

        Args:
            input_shapes: shape of one example of each input.

        Raises:
            ShapeError: it cannot take these.
        """
        if self.has_call:
            own: Shape = self._own_outputs(input_shapes)
            return own
        if self.takes_several:
            return self.compute_output_shape(input_shapes)  # type: ignore[arg-type]
        if len(input_shapes) != 1:
            raise ShapeError(f"{type(self).__name__} takes one input. Received: {len(input_shapes)}.")
        return self.compute_output_shape(input_shapes[0])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape of one example as it leaves. Raises `ShapeError` if it cannot come in."""
        raise NotImplementedError(f"{type(self).__name__} does not say the shape of its outputs.")

    def form(self) -> Callable[..., Any] | None:
        """What the last call has computed, in functions that a tape records, for second derivatives; None for none.

        The function takes the input, and the variables that are trained.
        """
        return None

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer, as JSON values: compared between replicas and shown in errors."""
        return {"class": get_registered_name(type(self)), "name": self.name, "trainable": self.trainable}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A layer, not built, with the arguments that `get_config` returned.

        Raises:
            ConfigError: arguments that the class does not have.
        """
        arguments = {key: value for key, value in config.items() if key != "class"}
        trainable = arguments.pop("trainable", True)
        arguments["name"] = arguments.get("name") or None  # a layer that is in no model may have none
        for role, value in arguments.items():
            part = _PARTS.get(role.rpartition("_")[2])
            if part is not None and isinstance(value, Mapping):
                arguments[role] = part.from_config(value)
        layer = made_with(cls, arguments)
        layer.trainable = bool(trainable)
        return layer

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{self.name}'>"


def _batch(shape: Shape) -> str:
    return f"({', '.join(['batch', *map(str, shape)])})"


def _nobody_waits(begin: int) -> None:
    pass
