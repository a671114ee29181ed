"""Losses by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from distrib.nn.custom_objects import get_registered_object
from distrib.nn.losses.crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from distrib.nn.losses.distributions import KLDivergence, Poisson
from distrib.nn.losses.focal import BinaryFocalCrossentropy, CategoricalFocalCrossentropy
from distrib.nn.losses.functions import CLASSES
from distrib.nn.losses.hinge import CategoricalHinge, Hinge, SquaredHinge
from distrib.nn.losses.loss import FunctionLoss, Loss
from distrib.nn.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
)
from distrib.nn.registry import Registry

REGISTRY: Registry[Loss] = Registry(
    "loss",
    Loss,
    {
        "binary_crossentropy": BinaryCrossentropy,
        "binary_focal_crossentropy": BinaryFocalCrossentropy,
        "categorical_focal_crossentropy": CategoricalFocalCrossentropy,
        "categorical_crossentropy": CategoricalCrossentropy,
        "categorical_hinge": CategoricalHinge,
        "cosine_similarity": CosineSimilarity,
        "hinge": Hinge,
        "huber": Huber,
        "kl_divergence": KLDivergence,
        "log_cosh": LogCosh,
        "mean_absolute_error": MeanAbsoluteError,
        "mean_absolute_percentage_error": MeanAbsolutePercentageError,
        "mean_squared_error": MeanSquaredError,
        "mean_squared_logarithmic_error": MeanSquaredLogarithmicError,
        "poisson": Poisson,
        "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
        "squared_hinge": SquaredHinge,
        "bce": BinaryCrossentropy,
        "kld": KLDivergence,
        "logcosh": LogCosh,
        "mae": MeanAbsoluteError,
        "mape": MeanAbsolutePercentageError,
        "mse": MeanSquaredError,
        "msle": MeanSquaredLogarithmicError,
    },
)


def get(identifier: str | Loss | Callable[..., Any]) -> Loss:
    """The loss of that name, class, or function; or `identifier` itself. Raises `ConfigError` for unknown names."""
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if callable(identifier) and not isinstance(identifier, Loss):
        if identifier in CLASSES:
            return CLASSES[identifier]()
        return FunctionLoss(identifier)
    return REGISTRY.get(identifier)


def from_config(config: Mapping[str, Any]) -> Loss:
    """The loss that a config with its `"class"` describes.

    Raises:
        ConfigError: it is neither built in nor registered.
    """
    found = get_registered_object(str(config.get("class")))
    if callable(found) and not isinstance(found, type):
        return FunctionLoss(found)
    return REGISTRY.from_config(config)
