"""Class weights: a weight for every example, by its label."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError

_EXPECTED = "class_weight expects a dict of labels and weights, such as {0: 1.0, 1: 5.0}."


def weights_of_classes(y: Array, class_weight: Mapping[int, float], num_outputs: int) -> Array:
    """The weight of every example.

    Args:
        y: `(examples,)` or `(examples, 1)` labels, or `(examples, classes)` one-hot targets.
        class_weight: label -> weight; 1.0 for a label that is not in it.
        num_outputs: of the model: labels go from 0 to this, or are 0 and 1 for one output. A label of `y` is one
            in any case.

    Returns:
        `(examples,)` float64.

    Raises:
        ConfigError: not a mapping, a label that is no integer or that no example can have, or a weight that is no
            finite number from 0 on.
    """
    if not isinstance(class_weight, Mapping):
        raise ConfigError(f"{_EXPECTED} Received: {class_weight!r} of type {type(class_weight).__name__}.")
    targets = y.reshape(len(y), -1)
    one_hot = targets.shape[1] > 1
    labels = np.argmax(targets, axis=1) if one_hot else targets[:, 0]
    num_classes = targets.shape[1] if one_hot else max(2, num_outputs)
    weights = np.ones(len(y))
    for label, weight in class_weight.items():
        if not isinstance(label, Integral) or isinstance(label, bool):
            raise ConfigError(
                f"{_EXPECTED} Received the label {label!r} of type {type(label).__name__}. Labels are integers."
            )
        if not isinstance(weight, Real) or not 0 <= weight < math.inf:
            raise ConfigError(
                f"{_EXPECTED} Received for label {label}: {weight!r}. Weights are finite and >= 0."
            )
        examples = labels == label
        if not 0 <= label < num_classes and not examples.any():
            raise ConfigError(
                f"class_weight has a weight for label {label}, which no example has. "
                f"Expected labels from 0 to {num_classes - 1}. Received: {sorted(map(int, class_weight))}."
            )
        weights[examples] = weight
    return weights
