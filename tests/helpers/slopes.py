"""Gradients of functions by central differences, to compare those of a tape with."""

from __future__ import annotations

import numpy as np

from distrib.autodiff.tape import GradientTape
from distrib.autodiff.tensor import as_tensor


def slopes(function, arrays, weights, step=1e-6):
    """The gradient of `sum(weights * function(*arrays))` by each array."""
    found = []
    for array in arrays:
        slope = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + step
            above = np.sum(weights * np.asarray(function(*arrays)))
            array[index] = kept - step
            below = np.sum(weights * np.asarray(function(*arrays)))
            array[index] = kept
            slope[index] = (above - below) / (2 * step)
        found.append(slope)
    return found


def taped(function, arrays, weights):
    """Likewise, by a tape; and that of the gradient's own weighted sum, with a tape around it."""
    tensors = [as_tensor(array.copy()) for array in arrays]
    with GradientTape() as tape:
        tape.watch(tensors)
        y = function(*tensors)
    return tape.gradient(y, tensors, as_tensor(weights), unconnected_gradients="zero")


def check_gradient(function, arrays, rng, bound=1e-7):
    """Compare both, for random weights of the result's elements."""
    result = np.asarray(function(*arrays))
    weights = rng.normal(size=result.shape)
    expected = slopes(function, arrays, weights)
    for found, slope, array in zip(taped(function, arrays, weights), expected, arrays, strict=True):
        assert found.shape == array.shape
        assert found.dtype == array.dtype
        scale = max(1.0, float(np.max(np.abs(slope), initial=0)))
        np.testing.assert_allclose(found, slope, rtol=0, atol=bound * scale * 10)
