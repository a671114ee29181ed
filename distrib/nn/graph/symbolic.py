"""Symbolic tensors: a layer that is called on one computes nothing, but notes where its output comes from.

    inputs = Input((784,))
    outputs = Dense(10)(Dense(100)(inputs))

Each call makes a `Node`: what was called, on which tensors, and the tensors that it returns. So the outputs of a
model know everything that they are computed from, back to its inputs: `nn/graph/from_tensors.py` makes a `Graph` of
that.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn, Protocol, TypeAlias

import numpy as np

from distrib.base.arrays import Shape
from distrib.base.errors import ConfigError

Structure: TypeAlias = Any
"""One tensor; a list, tuple or dict of tensors; or these inside each other."""

_NO_VALUES = (
    "It has no values: they are computed when a model is called. Use it as the input of a layer, or of Model(inputs, "
    "outputs)."
)

_serial = itertools.count(1)


class Callee(Protocol):
    """What can be called on symbolic tensors: a layer, or a model.

    Attributes:
        name: of it; may be empty before it is in a model.
        nodes: one for each call.
    """

    name: str
    nodes: list[Node]

    def symbolic_outputs(self, input_shapes: list[Shape]) -> Any:
        """The shapes of its outputs, in the structure in which it returns them.

        Args:
            input_shapes: shape of one example of each input.
        """


class KerasTensor:
    """The output of a call before there is data: a shape and a dtype.

    Args:
        shape: shape of one example.
        dtype: of its values.
        name: of the input, where it is one.

    Attributes:
        example_shape: shape of one example.
        node: the call that returns it.
        index: which of the call's outputs it is.
    """

    node: Node
    index: int

    def __init__(self, shape: Shape, dtype: str = "float32", name: str = "") -> None:
        self.example_shape, self.dtype = shape, dtype
        self.name = name or f"keras_tensor_{next(_serial)}"

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Shape of a batch; its first size is None."""
        return (None, *self.example_shape)

    @property
    def ndim(self) -> int:
        """Number of axes of a batch."""
        return len(self.example_shape) + 1

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise ConfigError(f"Expected an array. Received: {self!r}. {_NO_VALUES}")

    def __bool__(self) -> NoReturn:
        raise ConfigError(f"Expected a value. Received: {self!r}. {_NO_VALUES}")

    def __iter__(self) -> NoReturn:
        raise ConfigError(f"Expected a list of tensors. Received: {self!r}. {_NO_VALUES}")

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"


class Node(NamedTuple):
    """One call of a layer or model on symbolic tensors.

    Attributes:
        callee: what was called.
        inputs: the tensors, in order.
        outputs: those that it returned, in order.
        training: the argument of that name; None if it was not given.
        arguments: the inputs in the structure in which they were passed.
    """

    callee: Any
    inputs: tuple[KerasTensor, ...]
    outputs: tuple[KerasTensor, ...]
    training: bool | None
    arguments: Structure


def is_symbolic(structure: Structure) -> bool:
    """Whether there is a symbolic tensor in it."""
    return any(isinstance(each, KerasTensor) for each in leaves(structure))


def leaves(structure: Structure) -> Iterator[Any]:
    """The tensors or arrays of a structure, in order; of dicts in the order of their keys."""
    if isinstance(structure, Mapping):
        for each in structure.values():
            yield from leaves(each)
    elif isinstance(structure, list | tuple):
        for each in structure:
            yield from leaves(each)
    else:
        yield structure


def map_leaves(function: Callable[[Any], Any], structure: Structure) -> Structure:
    """The same structure of the results of a function."""
    if isinstance(structure, Mapping):
        return {key: map_leaves(function, each) for key, each in structure.items()}
    if isinstance(structure, list | tuple):
        return type(structure)([map_leaves(function, each) for each in structure])
    return function(structure)


def source(callee: Callee, shape: Shape, dtype: str, name: str) -> KerasTensor:
    """The symbolic tensor that an input layer stands for."""
    tensor = KerasTensor(shape, dtype, name)
    tensor.node, tensor.index = Node(callee, (), (tensor,), None, ()), 0
    callee.nodes.append(tensor.node)
    return tensor


def call(callee: Callee, inputs: Structure, training: bool | None = None) -> Structure:
    """Call a layer or a model on symbolic tensors.

    Args:
        callee: what is called.
        inputs: symbolic tensors.
        training: see `Layer.__call__`.

    Returns:
        Symbolic tensors, in the structure of the callee's outputs.

    Raises:
        ConfigError: arrays among the symbolic tensors, or `training=True`.
        ShapeError: it cannot take inputs of these shapes.
    """
    tensors = tuple(leaves(inputs))
    for each in tensors:
        if not isinstance(each, KerasTensor):
            raise ConfigError(
                f"{type(callee).__name__} '{callee.name}' expects symbolic tensors only, or arrays only. Received: "
                f"both, one of type {type(each).__name__}."
            )
    if training:
        raise ConfigError(
            f"{type(callee).__name__} '{callee.name}' cannot be called with training=True in a graph: predictions "
            "would draw random numbers. Leave it out: fit trains, evaluate and predict do not."
        )
    shapes = callee.symbolic_outputs([each.example_shape for each in tensors])
    outputs = _tensors_of(shapes)
    found = tuple(leaves(outputs))
    node = Node(callee, tensors, found, training, inputs)
    for index, each in enumerate(found):
        each.node, each.index = node, index
    callee.nodes.append(node)
    return outputs


def _is_shape(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(each, int | np.integer) for each in value)


def _tensors_of(shapes: Any) -> Structure:
    """New tensors of these shapes, in the same structure."""
    if _is_shape(shapes):
        return KerasTensor(shapes)
    if isinstance(shapes, Mapping):
        return {key: _tensors_of(each) for key, each in shapes.items()}
    return [_tensors_of(each) for each in shapes]
