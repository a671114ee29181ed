"""The losses as functions: one value for each example."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike

from distrib.autodiff.tensor import as_tensor, read
from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.nn.losses.crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from distrib.nn.losses.distributions import (
    KLDivergence,
    Poisson,
)
from distrib.nn.losses.focal import (
    BinaryFocalCrossentropy,
    CategoricalFocalCrossentropy,
)
from distrib.nn.losses.hinge import (
    CategoricalHinge,
    Hinge,
    SquaredHinge,
)
from distrib.nn.losses.loss import Loss, predictions_of
from distrib.nn.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
)


def _values(loss: Loss, y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values, one for each vector along the last axis: `(batch,)`, or `(batch, ...)` with more axes."""
    predictions = predictions_of(y_pred)
    if predictions.ndim == 2:
        return loss.values(y_true, predictions)
    if predictions.ndim > 2:  # a value for each vector along the last axis
        targets = as_tensor(read(y_true))
        size, rows = predictions.shape[-1], math.prod(predictions.shape[:-1])
        targets = targets.reshape(rows, size) if targets.shape == predictions.shape else targets.reshape(rows)
        found: Array = loss.values(targets, predictions.reshape(rows, size)).reshape(predictions.shape[:-1])
        return found
    one: Array = loss.values(as_tensor(read(y_true))[None], predictions[None])[0]
    return one


@checked
def binary_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:
    """See `BinaryCrossentropy`; the values of the examples."""
    return _values(
        BinaryCrossentropy(from_logits=from_logits, label_smoothing=label_smoothing), y_true, y_pred
    )


@checked
def binary_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> Array:
    """See `BinaryFocalCrossentropy`; the values of the examples."""
    return _values(
        BinaryFocalCrossentropy(apply_class_balancing, alpha, gamma, from_logits, label_smoothing),
        y_true,
        y_pred,
    )


@checked
def categorical_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0
) -> Array:
    """See `CategoricalCrossentropy`; the values of the examples."""
    return _values(
        CategoricalCrossentropy(from_logits=from_logits, label_smoothing=label_smoothing), y_true, y_pred
    )


@checked
def categorical_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> Array:
    """See `CategoricalFocalCrossentropy`; the values of the examples."""
    return _values(CategoricalFocalCrossentropy(alpha, gamma, from_logits, label_smoothing), y_true, y_pred)


@checked
def categorical_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """See `CategoricalHinge`; the values of the examples."""
    return _values(CategoricalHinge(), y_true, y_pred)


@checked
def cosine_similarity(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Array:
    """See `CosineSimilarity`; the values of the examples."""
    return _values(CosineSimilarity(axis=axis), y_true, y_pred)


@checked
def hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """See `Hinge`; the values of the examples."""
    return _values(Hinge(), y_true, y_pred)


@checked
def huber(y_true: ArrayLike, y_pred: ArrayLike, delta: float = 1.0) -> Array:
    """See `Huber`; the values of the examples."""
    return _values(Huber(delta), y_true, y_pred)


@checked
def kl_divergence(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """See `KLDivergence`; the values of the examples."""
    return _values(KLDivergence(), y_true, y_pred)


@checked
def log_cosh(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """See `LogCosh`; the values of the examples."""
    return _values(LogCosh(), y_true, y_pred)


@checked
def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """See `MeanAbsoluteError`; the values of the examples."""
    return _values(MeanAbsoluteError(), y_true, y_pred)


@checked
def mean_absolute_percentage_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """See `MeanAbsolutePercentageError`; the values of the examples."""
    return _values(MeanAbsolutePercentageError(), y_true, y_pred)


@checked
def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """See `MeanSquaredError`; the values of the examples."""
    return _values(MeanSquaredError(), y_true, y_pred)


@checked
def mean_squared_logarithmic_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """See `MeanSquaredLogarithmicError`; the values of the examples."""
    return _values(MeanSquaredLogarithmicError(), y_true, y_pred)


@checked
def poisson(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """See `Poisson`; the values of the examples."""
    return _values(Poisson(), y_true, y_pred)


@checked
def sparse_categorical_crossentropy(y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False) -> Array:
    """See `SparseCategoricalCrossentropy`; the values of the examples."""
    return _values(SparseCategoricalCrossentropy(from_logits=from_logits), y_true, y_pred)


@checked
def squared_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """See `SquaredHinge`; the values of the examples."""
    return _values(SquaredHinge(), y_true, y_pred)


CLASSES: dict[Callable[..., Any], type[Loss]] = {
    binary_crossentropy: BinaryCrossentropy,
    binary_focal_crossentropy: BinaryFocalCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    categorical_focal_crossentropy: CategoricalFocalCrossentropy,
    categorical_hinge: CategoricalHinge,
    cosine_similarity: CosineSimilarity,
    hinge: Hinge,
    huber: Huber,
    kl_divergence: KLDivergence,
    log_cosh: LogCosh,
    mean_absolute_error: MeanAbsoluteError,
    mean_absolute_percentage_error: MeanAbsolutePercentageError,
    mean_squared_error: MeanSquaredError,
    mean_squared_logarithmic_error: MeanSquaredLogarithmicError,
    poisson: Poisson,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
    squared_hinge: SquaredHinge,
}
"""The class of the loss that a function computes."""
