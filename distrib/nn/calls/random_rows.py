"""Random arrays with a row for each example of a batch that is trained on: the same on any number of replicas."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.nn.calls.call_context import current_context
from distrib.nn.rng import RngKey, fill_uniform, uniform_columns


class Rows(NamedTuple):
    """Which numbers are drawn.

    Attributes:
        draw: seed, epoch and position of the first example.
        stream: what they are for.
    """

    draw: RngKey
    stream: str


def rows_of_step(what: str, seed: int | None, shape: Any) -> Rows | None:
    """What an array of this shape is drawn from; None outside of a training, or if its rows are not its examples.

    Args:
        what: it is drawn for.
        seed: fixes the numbers whatever the seed of the model is.
        shape: of the array.
    """
    context = current_context()
    sizes = np.atleast_1d(np.asarray(shape)).tolist()
    draw = None if context is None else context.draw or context.draw_in_step
    if context is None or draw is None or not sizes or sizes[0] != context.rows:
        return None
    if seed is not None:
        draw = RngKey(seed, draw.epoch, draw.position)
    return Rows(draw, context.stream(what))


def uniform_rows(rows: Rows, shape: Shape) -> Array:
    """Numbers uniform in [0, 1), float64 with the precision of float32."""
    features = math.prod(shape[1:])
    found = np.empty((int(shape[0]), uniform_columns(features)), np.float32)
    fill_uniform(found, rows.draw, rows.stream)
    return found[:, :features].reshape(tuple(map(int, shape))).astype(np.float64)


def normal_rows(rows: Rows, shape: Shape) -> Array:
    """Normal numbers of mean 0 and standard deviation 1, by the method of Box and Muller (1958)."""
    features = math.prod(shape[1:])
    found = np.empty((int(shape[0]), uniform_columns(2 * features)), np.float32)
    fill_uniform(found, rows.draw, rows.stream)
    radius = np.sqrt(-2.0 * np.log1p(-found[:, :features].astype(np.float64)))
    angle = 2.0 * math.pi * found[:, features : 2 * features]
    return np.asarray(radius * np.cos(angle)).reshape(tuple(map(int, shape)))
