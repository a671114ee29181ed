"""`distrib.tf.random`: the global seed, and random arrays that follow from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.autodiff.tensor import as_tensor
from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.nn.calls.random_rows import normal_rows, rows_of_step, uniform_rows
from distrib.nn.rng import generator
from distrib.tf.elementwise import tensor_of
from distrib.training.seeds import seed_of_next_array, set_random_seed

__all__ = ["normal", "set_seed", "shuffle", "uniform"]


@checked
def set_seed(seed: int) -> None:
    """See `distrib.set_random_seed`."""
    set_random_seed(seed)


def _generator(seed: int | None) -> np.random.Generator:
    """A generator for one call: of its own seed, or of the global seed and the number of the call."""
    return generator("tf.random", *(seed_of_next_array() if seed is None else (seed,)))


@checked
def normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = np.float32,
    seed: int | None = None,
    name: str | None = None,
) -> Array:
    """Normal numbers. In a training a row for each example: the same on any number of replicas."""
    rows = rows_of_step("normal", seed, shape)
    if rows is not None:
        return as_tensor((mean + stddev * normal_rows(rows, tuple(shape))).astype(dtype))
    return as_tensor(_generator(seed).normal(mean, stddev, shape).astype(dtype))


@checked
def uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = np.float32,
    seed: int | None = None,
    name: str | None = None,
) -> Array:
    """Uniform numbers from `minval` to before `maxval`, which is 1 by default; integers for an integer dtype."""
    rows = None if np.dtype(dtype).kind in "iu" else rows_of_step("uniform", seed, shape)
    if rows is not None:
        span = (1 if maxval is None else maxval) - minval
        return as_tensor((minval + span * uniform_rows(rows, tuple(shape))).astype(dtype))
    if np.dtype(dtype).kind in "iu":
        return as_tensor(_generator(seed).integers(minval, maxval, shape, dtype=dtype))
    return as_tensor(_generator(seed).uniform(minval, 1 if maxval is None else maxval, shape).astype(dtype))


@checked
def shuffle(value: Any, seed: int | None = None, name: str | None = None) -> Array:
    """The slices along the first axis in another order."""
    return as_tensor(_generator(seed).permutation(np.asarray(value)))


@checked
def dropped(x: Any, rate: float, seed: int | None = None) -> Array:
    """`x` with a random share of its elements 0, and the others scaled up.

    Args:
        x: an array.
        rate: share, in [0, 1).
        seed: fixes what is drawn.
    """
    array = tensor_of(x)
    mask = np.asarray(uniform(array.shape, seed=seed)) >= rate
    return as_tensor(array * (mask / (1 - rate)).astype(array.dtype))
