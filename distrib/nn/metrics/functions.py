"""Metrics as functions: a value for each example, or for each element of `(batch, ...)` but the last axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.autodiff.tensor import as_tensor
from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.nn.losses import functions as losses


@checked
def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> Array:
    """Share of elements along the last axis where `y_pred > threshold` equals the target."""
    predictions = np.asarray(y_pred)
    matches = (predictions > threshold) == np.asarray(y_true).reshape(predictions.shape)
    return as_tensor(
        np.mean(matches, axis=-1, dtype=np.float32) if matches.ndim > 1 else matches.astype(np.float32)
    )


@checked
def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """1 where the largest prediction is where the target is largest, else 0."""
    return as_tensor((np.argmax(y_true, axis=-1) == np.argmax(y_pred, axis=-1)).astype(np.float32))


@checked
def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """1 where the largest prediction is that of the integer label, else 0."""
    guess = np.argmax(y_pred, axis=-1)
    return as_tensor((np.asarray(y_true).reshape(guess.shape) == guess).astype(np.float32))


@checked
def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Array:
    """1 where the largest target is among the `k` largest predictions, else 0."""
    return sparse_top_k_categorical_accuracy(np.argmax(y_true, axis=-1), y_pred, k)


@checked
def sparse_top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Array:
    """1 where the integer label is among the `k` largest predictions, else 0."""
    predictions = np.asarray(y_pred)
    labels = np.asarray(y_true).astype(np.intp).reshape(predictions.shape[:-1])
    at_label = np.take_along_axis(predictions, labels[..., None], axis=-1)
    return as_tensor((np.count_nonzero(predictions > at_label, axis=-1) < k).astype(np.float32))


CLASSES: dict[Callable[..., Any], str] = {
    binary_accuracy: "BinaryAccuracy",
    categorical_accuracy: "CategoricalAccuracy",
    sparse_categorical_accuracy: "SparseCategoricalAccuracy",
    sparse_top_k_categorical_accuracy: "SparseTopKCategoricalAccuracy",
    top_k_categorical_accuracy: "TopKCategoricalAccuracy",
    losses.binary_crossentropy: "BinaryCrossentropy",
    losses.categorical_crossentropy: "CategoricalCrossentropy",
    losses.categorical_hinge: "CategoricalHinge",
    losses.hinge: "Hinge",
    losses.kl_divergence: "KLDivergence",
    losses.log_cosh: "LogCoshError",
    losses.mean_absolute_error: "MeanAbsoluteError",
    losses.mean_absolute_percentage_error: "MeanAbsolutePercentageError",
    losses.mean_squared_error: "MeanSquaredError",
    losses.mean_squared_logarithmic_error: "MeanSquaredLogarithmicError",
    losses.poisson: "Poisson",
    losses.sparse_categorical_crossentropy: "SparseCategoricalCrossentropy",
    losses.squared_hinge: "SquaredHinge",
}
"""The class that measures what a function computes."""
