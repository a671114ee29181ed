"""Inputs that do not fit a network."""

from __future__ import annotations

import math
from typing import NoReturn

from distrib.base.arrays import Shape
from distrib.base.errors import ShapeError
from distrib.nn.layers.layer import Layer


def refuse_input(layer: Layer, received: Shape, shape: Shape) -> NoReturn:
    """Raise `ShapeError` for a batch of inputs.

    Args:
        layer: which takes it.
        received: its shape.
        shape: that of one example, as it is expected.
    """
    flat = len(received) > 2 and shape == (math.prod(received[1:]),)
    expected = ", ".join(["batch", *map(str, shape)])
    raise ShapeError(
        f"{type(layer).__name__} '{layer.name}' expects inputs of shape ({expected}). Received: {received}."
        f"{' Add Flatten() before it.' if flat else ''}"
    )
