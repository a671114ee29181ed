"""Merging layers as functions of tensors: `add([a, b])` is `Add()([a, b])`."""

from __future__ import annotations

from typing import Any

from distrib.nn.layers.merging.concatenate import Concatenate
from distrib.nn.layers.merging.dot import Dot
from distrib.nn.layers.merging.elementwise import Add, Average, Maximum, Minimum, Multiply, Subtract


def add(inputs: Any, **kwargs: Any) -> Any:
    """See `Add`; `inputs` is a list of tensors."""
    return Add(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """See `Average`; `inputs` is a list of tensors."""
    return Average(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """See `Concatenate`; `inputs` is a list of tensors."""
    return Concatenate(axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any = -1, normalize: bool = False, **kwargs: Any) -> Any:
    """See `Dot`; `inputs` is a list of tensors."""
    return Dot(axes, normalize, **kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """See `Maximum`; `inputs` is a list of tensors."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """See `Minimum`; `inputs` is a list of tensors."""
    return Minimum(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """See `Multiply`; `inputs` is a list of tensors."""
    return Multiply(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """See `Subtract`; `inputs` is a list of tensors."""
    return Subtract(**kwargs)(inputs)
