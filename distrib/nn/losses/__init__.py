"""Losses with Keras' names, definitions and defaults.

A loss gives one value an example (a mean over the other axes) and the gradient of that value. Sums over
examples, weights and the one division by their number are the network's and the strategy's business.

Cross-entropy of a softmax (of a sigmoid) is computed from the logits where the network can hand them over:
`log(sum(exp(z))) - z[label]` neither overflows nor needs the clipping at 1e-7 that probabilities need, and its
gradient is `softmax(z) - one_hot(label)`. Keras on TensorFlow does the same; the two agree wherever
no probability is below 1e-7.
"""

from distrib.nn.losses.crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from distrib.nn.losses.distributions import KLDivergence, Poisson
from distrib.nn.losses.focal import BinaryFocalCrossentropy, CategoricalFocalCrossentropy
from distrib.nn.losses.functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from distrib.nn.losses.hinge import CategoricalHinge, Hinge, SquaredHinge
from distrib.nn.losses.loss import Loss
from distrib.nn.losses.reduction import Reduction
from distrib.nn.losses.registry import from_config as from_config
from distrib.nn.losses.registry import get
from distrib.nn.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
)

mse = mean_squared_error
MSE = mean_squared_error
mae = mean_absolute_error
MAE = mean_absolute_error
mape = mean_absolute_percentage_error
MAPE = mean_absolute_percentage_error
msle = mean_squared_logarithmic_error
MSLE = mean_squared_logarithmic_error
KLD = kl_divergence
kld = kl_divergence
logcosh = log_cosh

__all__ = [
    "KLD",
    "MAE",
    "MAPE",
    "MSE",
    "MSLE",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "Reduction",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "kld",
    "log_cosh",
    "logcosh",
    "mae",
    "mape",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mse",
    "msle",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]


def __dir__() -> list[str]:
    return __all__
