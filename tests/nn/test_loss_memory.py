"""Losses work in memory of their own: once it is there, a step allocates no array of the batch.

NumPy's own buffer for casts and broadcasts is left: 8192 elements (64 KiB of float64), however large the batch.
"""

import tracemalloc

import numpy as np
import pytest

from distrib.nn import losses

ROWS, CLASSES = 32768, 16
"""One float64 array of this shape has 4 MiB, one value an example 256 KiB."""


@pytest.mark.parametrize("kind", [losses.CategoricalHinge, losses.CosineSimilarity, losses.KLDivergence])
def test_a_second_step_allocates_no_array_of_the_batch(kind):
    rng = np.random.default_rng(0)
    y_true = np.eye(CLASSES)[rng.integers(CLASSES, size=ROWS)]
    y_pred = rng.uniform(0.1, 0.9, (ROWS, CLASSES))
    loss = kind()
    loss.forward(y_true, y_pred)
    loss.backward(y_true, y_pred)
    tracemalloc.start()
    try:
        loss.forward(y_true, y_pred)
        loss.backward(y_true, y_pred)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 128 * 1024
