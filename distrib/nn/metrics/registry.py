"""Metrics by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from distrib.base.arrays import Shape
from distrib.base.errors import ConfigError
from distrib.nn.custom_objects import get_registered_object
from distrib.nn.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from distrib.nn.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from distrib.nn.metrics.curves import (
    AUC,
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
from distrib.nn.metrics.f_score import (
    F1Score,
    FBetaScore,
)
from distrib.nn.metrics.from_losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from distrib.nn.metrics.functions import CLASSES
from distrib.nn.metrics.mean import (
    Mean,
    MeanMetricWrapper,
    Sum,
)
from distrib.nn.metrics.metric import (
    Metric,
)
from distrib.nn.metrics.r2_score import (
    R2Score,
)
from distrib.nn.registry import Registry

REGISTRY: Registry[Metric] = Registry(
    "metric",
    Metric,
    {
        "accuracy": Accuracy,
        "auc": AUC,
        "bce": BinaryCrossentropy,
        "binary_accuracy": BinaryAccuracy,
        "binary_crossentropy": BinaryCrossentropy,
        "categorical_accuracy": CategoricalAccuracy,
        "categorical_crossentropy": CategoricalCrossentropy,
        "categorical_hinge": CategoricalHinge,
        "cosine_proximity": CosineSimilarity,
        "cosine_similarity": CosineSimilarity,
        "f1_score": F1Score,
        "false_negatives": FalseNegatives,
        "false_positives": FalsePositives,
        "fbeta_score": FBetaScore,
        "hinge": Hinge,
        "kl_divergence": KLDivergence,
        "kld": KLDivergence,
        "log_cosh": LogCoshError,
        "logcosh": LogCoshError,
        "mae": MeanAbsoluteError,
        "mape": MeanAbsolutePercentageError,
        "mean": Mean,
        "mean_absolute_error": MeanAbsoluteError,
        "mean_absolute_percentage_error": MeanAbsolutePercentageError,
        "mean_squared_error": MeanSquaredError,
        "mean_squared_logarithmic_error": MeanSquaredLogarithmicError,
        "mse": MeanSquaredError,
        "msle": MeanSquaredLogarithmicError,
        "poisson": Poisson,
        "precision": Precision,
        "r2_score": R2Score,
        "recall": Recall,
        "rmse": RootMeanSquaredError,
        "root_mean_squared_error": RootMeanSquaredError,
        "sparse_categorical_accuracy": SparseCategoricalAccuracy,
        "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
        "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
        "squared_hinge": SquaredHinge,
        "sum": Sum,
        "top_k_categorical_accuracy": TopKCategoricalAccuracy,
        "true_negatives": TrueNegatives,
        "true_positives": TruePositives,
    },
)

_BOUNDED = (PrecisionAtRecall, RecallAtPrecision, SensitivityAtSpecificity, SpecificityAtSensitivity)
REGISTRY.classes |= {
    each.__name__: each for each in _BOUNDED
}  # which have no defaults, so that no name makes them


def get(
    identifier: str | Metric | Callable[..., Any], output_shape: Shape = (), sparse_targets: bool = False
) -> Metric:
    """The metric of that name or class, of a function, or `identifier` itself.

    `"accuracy"` (or `"acc"`) is chosen as Keras does: binary for one output, sparse for integer labels,
    else categorical; so is `"crossentropy"` (or `"ce"`).

    Args:
        identifier: name, instance, class, or a function that returns a value for each example.
        output_shape: shape of one output of the model.
        sparse_targets: whether the targets are integer labels, of one axis less than the outputs.

    Raises:
        ConfigError: unknown name.
    """
    if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc", "crossentropy", "ce"):
        is_accuracy = identifier.lower() in ("accuracy", "acc")
        if output_shape[-1:] == (1,):
            return BinaryAccuracy(name=identifier) if is_accuracy else BinaryCrossentropy(name=identifier)
        if sparse_targets:
            sparse = SparseCategoricalAccuracy if is_accuracy else SparseCategoricalCrossentropy
            return sparse(name=identifier)
        return (
            CategoricalAccuracy(name=identifier) if is_accuracy else CategoricalCrossentropy(name=identifier)
        )
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if isinstance(identifier, str):
        identifier = get_registered_object(identifier) or identifier
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if callable(identifier) and not isinstance(identifier, Metric):
        known = CLASSES.get(identifier)
        name = getattr(identifier, "__name__", "function")
        if known is not None:
            return REGISTRY.classes[known](name=name)
        return MeanMetricWrapper(identifier, name)
    metric = REGISTRY.get(identifier)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def is_metric(value: object) -> bool:
    """Whether `get` takes it."""
    return isinstance(value, str | Metric) or callable(value)


def from_config(config: Mapping[str, Any]) -> Metric:
    """The metric that a config with its `"class"` describes. Raises `ConfigError` unless it is built in."""
    if config.get("class") == MeanMetricWrapper.__name__:
        name = str(config.get("fn"))
        fn = get_registered_object(name) or get_registered_object(name.rpartition(".")[2])
        if fn is None:
            raise ConfigError(
                f"Expected a metric that is built in. Received: the function {name}. Register it "
                "(keras.saving.register_keras_serializable), or pass it in custom_objects."
            )
        return MeanMetricWrapper(fn, str(config["name"]))
    return REGISTRY.from_config(config)
