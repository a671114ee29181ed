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
from distrib.nn.losses.hinge import CategoricalHinge, Hinge, SquaredHinge
from distrib.nn.losses.loss import Loss
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

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
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
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "get",
]


def __dir__() -> list[str]:
    return __all__
