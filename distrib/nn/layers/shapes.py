"""Shapes and names as users write them."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from distrib.base.arrays import Shape
from distrib.base.errors import ConfigError


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


def declared_shape(
    input_shape: Any, input_dim: int | None, batch_input_shape: Any, batch_shape: Any
) -> Shape | None:
    """The shape of one example, as a layer's arguments say it; None if they say nothing. See `Layer`."""
    for batch in (batch_input_shape, batch_shape):
        if batch is not None:
            input_shape = tuple(batch)[1:]
    if input_dim is not None:
        input_shape = (input_dim,)
    return None if input_shape is None else check_shape(input_shape)


def snake_case(name: str) -> str:
    """`CamelCase` -> `camel_case`, as Keras has it: `PReLU` -> `p_re_lu`."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def unique_name(name: str, taken: Container[str]) -> str:
    """`dense`, `dense_1`, ...: numbered within the model, so that other models do not change the names."""
    number = 0
    while (numbered := f"{name}_{number}" if number else name) in taken:
        number += 1
    return numbered
