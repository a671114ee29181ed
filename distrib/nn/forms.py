"""Activations and losses in NumPy functions that a tape records, for second derivatives.

They are not how these are computed, but how their gradients are differentiated once more, as for a penalty on a
gradient. What has no form has no second derivative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _softplus(x: Any) -> Any:
    return np.logaddexp(x, np.zeros((), x.dtype))


def _log_softmax(x: Any) -> Any:
    shifted = x - np.max(np.asarray(x), axis=-1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))


def _gelu(activation: Any, x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


ACTIVATIONS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        "Linear": lambda f, x: x,
        "Relu": lambda f, x: np.maximum(x, 0),
        "LeakyRelu": lambda f, x: np.where(np.asarray(x) > 0, x, f.negative_slope * x),
        "Elu": lambda f, x: np.where(np.asarray(x) > 0, x, f.alpha * (np.exp(np.minimum(x, 0)) - 1)),
        "Tanh": lambda f, x: np.tanh(x),
        "Sigmoid": lambda f, x: _sigmoid(x),
        "Silu": lambda f, x: x * _sigmoid(x),
        "Softplus": lambda f, x: _softplus(x),
        "Exponential": lambda f, x: np.exp(x),
        "Softmax": lambda f, x: np.exp(_log_softmax(x)),
        "LogSoftmax": lambda f, x: _log_softmax(x),
        "Gelu": _gelu,
    }
)
"""By the name of the class: takes the activation and its input, in which vectors lie along the last axis."""


def activation_form(activation: Any) -> Callable[[Any], Any] | None:
    """The form of an activation; None for none."""
    form = ACTIVATIONS.get(type(activation).__name__)
    if form is None or (form is _gelu and not activation.approximate):
        return None
    if type(activation).__name__ == "Relu" and activation.get_config() != type(activation)().get_config():
        return None
    return lambda x: form(activation, x)


def _binary(loss: Any, y: Any, p: Any) -> Any:
    if loss.from_logits:
        return np.mean(_softplus(p) - p * y, axis=-1)
    return np.mean(-(y * np.log(p) + (1 - y) * np.log(1 - p)), axis=-1)


def _categorical(loss: Any, y: Any, p: Any) -> Any:
    log = _log_softmax(p) if loss.from_logits else np.log(p)
    return -np.sum(y * log, axis=-1)


def _sparse(loss: Any, y: Any, p: Any) -> Any:
    log = _log_softmax(p) if loss.from_logits else np.log(p)
    rows = np.arange(len(np.asarray(y)))
    return -log[rows, np.asarray(y).reshape(-1).astype(np.int64)]


LOSSES: Mapping[str, Callable[[Any, Any, Any], Any]] = MappingProxyType(
    {
        "MeanSquaredError": lambda loss, y, p: np.mean(np.square(p - y), axis=tuple(range(1, p.ndim))),
        "MeanAbsoluteError": lambda loss, y, p: np.mean(np.abs(p - y), axis=tuple(range(1, p.ndim))),
        "BinaryCrossentropy": _binary,
        "CategoricalCrossentropy": _categorical,
        "SparseCategoricalCrossentropy": _sparse,
    }
)
"""By the name of the class: takes the loss, prepared targets and predictions."""


def loss_form(loss: Any) -> Callable[[Any, Any], Any] | None:
    """The form of a loss; None for none."""
    form = LOSSES.get(type(loss).__name__)
    if form is None or getattr(loss, "label_smoothing", False):
        return None
    return lambda y, p: form(loss, y, p)
