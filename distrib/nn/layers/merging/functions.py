"""Merging layers as functions of tensors: `add([a, b])` is `Add()([a, b])`."""

from __future__ import annotations

from typing import Any

from distrib.base.arguments import checked
from distrib.nn.layers.merging.concatenate import Concatenate
from distrib.nn.layers.merging.dot import Dot
from distrib.nn.layers.merging.elementwise import Add, Average, Maximum, Minimum, Multiply, Subtract


@checked
def add(inputs: Any, name: str | None = None) -> Any:
    """See `Add`; `inputs` is a list of tensors, `name` that of the layer."""
    return Add(name=name)(inputs)


@checked
def average(inputs: Any, name: str | None = None) -> Any:
    """See `Average`; `inputs` is a list of tensors, `name` that of the layer."""
    return Average(name=name)(inputs)


@checked
def concatenate(inputs: Any, axis: int = -1, name: str | None = None) -> Any:
    """See `Concatenate`; `inputs` is a list of tensors, `name` that of the layer."""
    return Concatenate(axis, name=name)(inputs)


@checked
def dot(inputs: Any, axes: Any = -1, normalize: bool = False, name: str | None = None) -> Any:
    """See `Dot`; `inputs` is a list of tensors, `name` that of the layer."""
    return Dot(axes, normalize, name=name)(inputs)


@checked
def maximum(inputs: Any, name: str | None = None) -> Any:
    """See `Maximum`; `inputs` is a list of tensors, `name` that of the layer."""
    return Maximum(name=name)(inputs)


@checked
def minimum(inputs: Any, name: str | None = None) -> Any:
    """See `Minimum`; `inputs` is a list of tensors, `name` that of the layer."""
    return Minimum(name=name)(inputs)


@checked
def multiply(inputs: Any, name: str | None = None) -> Any:
    """See `Multiply`; `inputs` is a list of tensors, `name` that of the layer."""
    return Multiply(name=name)(inputs)


@checked
def subtract(inputs: Any, name: str | None = None) -> Any:
    """See `Subtract`; `inputs` is a list of tensors, `name` that of the layer."""
    return Subtract(name=name)(inputs)
