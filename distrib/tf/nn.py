"""`distrib.tf.nn`: activation functions, and cross-entropies of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.autodiff.tensor import as_tensor
from distrib.autodiff.whole import is_tracked
from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.base.missing import refuser
from distrib.nn.activations import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    swish,
    tanh,
)
from distrib.nn.losses import CategoricalCrossentropy, SparseCategoricalCrossentropy
from distrib.strategies.default import get_strategy
from distrib.tf.elementwise import tensor_of
from distrib.tf.ordering import top_k
from distrib.tf.random import dropped

__all__ = [
    "compute_average_loss",
    "dropout",
    "elu",
    "gelu",
    "l2_loss",
    "l2_normalize",
    "leaky_relu",
    "log_softmax",
    "relu",
    "relu6",
    "scale_regularization_loss",
    "selu",
    "sigmoid",
    "sigmoid_cross_entropy_with_logits",
    "silu",
    "softmax",
    "softmax_cross_entropy_with_logits",
    "softplus",
    "softsign",
    "sparse_softmax_cross_entropy_with_logits",
    "swish",
    "tanh",
    "top_k",
]

__getattr__ = refuser(
    __name__,
    dict.fromkeys(
        ["conv2d", "max_pool2d", "avg_pool2d", "embedding_lookup", "batch_normalization"],
        "it is not supported yet.",
    ),
    __all__,
)


@checked
def softmax_cross_entropy_with_logits(
    labels: ArrayLike, logits: ArrayLike, axis: int = -1, name: str | None = None
) -> Array:
    """`-sum(labels * log_softmax(logits))` over an axis; labels are distributions."""
    given, scores = tensor_of(labels), tensor_of(logits)
    if is_tracked(given) or axis not in (-1, scores.ndim - 1) or given.shape != scores.shape:
        return as_tensor(-np.sum(given * log_softmax(scores, axis), axis=axis))
    rows = scores.shape[-1]
    loss = CategoricalCrossentropy(from_logits=True)
    values = loss.values(given.reshape(-1, rows), scores.reshape(-1, rows), True)
    return as_tensor(values.reshape(scores.shape[:-1]))


@checked
def sparse_softmax_cross_entropy_with_logits(
    labels: ArrayLike, logits: ArrayLike, name: str | None = None
) -> Array:
    """`-log_softmax(logits)[label]`, with integer labels, over the last axis."""
    scores = tensor_of(logits)
    values = SparseCategoricalCrossentropy(from_logits=True).values(
        np.asarray(labels).reshape(-1),
        scores if scores.ndim == 2 else scores.reshape(-1, scores.shape[-1]),
        True,
    )
    return values if values.ndim == scores.ndim - 1 else values.reshape(scores.shape[:-1])


@checked
def sigmoid_cross_entropy_with_logits(labels: ArrayLike, logits: ArrayLike, name: str | None = None) -> Array:
    """`max(z, 0) - z * label + log(1 + exp(-|z|))` of each element."""
    z, y = tensor_of(logits), tensor_of(labels)
    return as_tensor(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))))


@checked
def dropout(
    x: ArrayLike, rate: float, noise_shape: None = None, seed: int | None = None, name: str | None = None
) -> Array:
    """`x` with a random share `rate` of its elements 0, and the others scaled up."""
    return dropped(x, rate, seed)


@checked
def l2_normalize(x: ArrayLike, axis: Any = None, epsilon: float = 1e-12, name: str | None = None) -> Array:
    """Vectors along axes divided by their length."""
    array = tensor_of(x)
    return as_tensor(array / np.sqrt(np.maximum(np.sum(array * array, axis=axis, keepdims=True), epsilon)))


@checked
def l2_loss(t: ArrayLike, name: str | None = None) -> Array:
    """Half the sum of squares."""
    array = tensor_of(t)
    return as_tensor(np.sum(array * array) / 2)


@checked
def compute_average_loss(
    per_example_loss: ArrayLike, sample_weight: ArrayLike | None = None, global_batch_size: int | None = None
) -> Array:
    """The sum of weighted losses over the size of the global batch.

    Args:
        per_example_loss: `(batch,)`.
        sample_weight: `(batch,)`; 1 by default.
        global_batch_size: examples over all replicas; by default as many on each as are given here.
    """
    values = tensor_of(per_example_loss)
    weighted = values if sample_weight is None else values * np.asarray(sample_weight, values.dtype)
    count = global_batch_size or len(values) * get_strategy().num_replicas_in_sync
    return as_tensor(np.sum(weighted) / count)


@checked
def scale_regularization_loss(regularization_loss: ArrayLike) -> Array:
    """A penalty over the number of replicas, since gradients of all replicas are added."""
    return as_tensor(tensor_of(regularization_loss) / get_strategy().num_replicas_in_sync)
