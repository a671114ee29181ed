"""Focal cross-entropies: examples that are classified well count less (Lin et al., 2017)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.nn import activations
from distrib.nn.losses.loss import EPSILON, Loss, elements_per_example


class BinaryFocalCrossentropy(Loss):
    """Mean of `-(1 - p_t)^gamma log p_t`, p_t the probability of what is true.

    Args:
        apply_class_balancing: weigh positives with `alpha` and negatives with `1 - alpha`.
        alpha: see above.
        gamma: the focus: 0 gives the cross-entropy.
        from_logits: predictions are logits, p = sigmoid(prediction).
        label_smoothing: in [0, 1]: targets are squeezed that share of the way towards 0.5.
        axis: -1.
        reduction: see `Loss`.
        name: see `Loss`.
        dtype: see `Loss`.
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, reduction, name, dtype, axis)
        self.apply_class_balancing, self.alpha, self.gamma = apply_class_balancing, alpha, gamma
        self.label_smoothing = label_smoothing
        self._sigmoid = activations.Sigmoid()

    def _probabilities(self, y_pred: Array) -> tuple[Array, Array]:
        """The probabilities, and the same clipped."""
        given, p = self._scratch.like("given", y_pred), self._scratch.like("p", y_pred)
        if self.from_logits:
            self._sigmoid.forward(y_pred, given)
        else:
            np.copyto(given, y_pred)
        np.clip(given, EPSILON, 1.0 - EPSILON, out=p)
        return given, p

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        # With fractions as targets, p_t and the cross-entropy are weighted sums of both cases, as in Keras.
        y = self._smooth(y_true, self.label_smoothing, 0.5)
        _, p = self._probabilities(y_pred)
        p_t = y * p + (1 - y) * (1 - p)
        elements = self._scratch.like("elements", y_pred)
        np.multiply((1 - p_t) ** self.gamma, -(y * np.log(p) + (1 - y) * np.log(1 - p)), out=elements)
        if self.apply_class_balancing:
            elements *= y * self.alpha + (1 - y) * (1 - self.alpha)
        return self._values(elements)

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        y = self._smooth(y_true, self.label_smoothing, 0.5)
        given, p = self._probabilities(y_pred)
        p_t = y * p + (1 - y) * (1 - p)
        entropy = -(y * np.log(p) + (1 - y) * np.log(1 - p))
        focus, slope = (1 - p_t) ** self.gamma, self.gamma * (1 - p_t) ** (self.gamma - 1)
        d_y = self._scratch.like("d_y", y_pred)
        np.multiply(focus, (p - y) / (p * (1 - p)), out=d_y)
        d_y -= slope * (2 * y - 1) * entropy
        if self.apply_class_balancing:
            d_y *= y * self.alpha + (1 - y) * (1 - self.alpha)
        d_y *= given == p
        if self.from_logits:
            d_y *= p * (1 - p)
        d_y *= 1.0 / elements_per_example(y_pred)
        return d_y


class CategoricalFocalCrossentropy(Loss):
    """`-sum(alpha (1 - p)^gamma y_true log p)` over the last axis.

    Args:
        alpha: factor of all classes, or of each.
        gamma: the focus: 0 gives `alpha` times the cross-entropy.
        from_logits: predictions are logits, p = softmax(prediction).
        label_smoothing: in [0, 1]: that share of the weight is spread over all classes.
        axis: -1.
        reduction: see `Loss`.
        name: see `Loss`.
        dtype: see `Loss`.
    """

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, reduction, name, dtype, axis)
        self.alpha = alpha if np.ndim(alpha) == 0 else list(alpha)
        self.gamma, self.label_smoothing = gamma, label_smoothing
        self._softmax = activations.Softmax()

    def _probabilities(self, y_pred: Array) -> tuple[Array, Array, Array]:
        """Probabilities whose rows sum to 1, the same clipped, and the row sums that they were divided by."""
        given, p = self._scratch.like("given", y_pred), self._scratch.like("p", y_pred)
        total = np.ones((*y_pred.shape[:-1], 1), y_pred.dtype)
        if self.from_logits:
            self._softmax.forward(y_pred, given)
        else:
            total = np.sum(y_pred, axis=-1, keepdims=True)
            np.divide(y_pred, total, out=given)
        np.clip(given, EPSILON, 1.0 - EPSILON, out=p)
        return given, p, total

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        y = self._smooth(y_true, self.label_smoothing, 1.0 / y_true.shape[-1])
        _, p, _ = self._probabilities(y_pred)
        elements = np.sum(np.asarray(self.alpha, p.dtype) * (1 - p) ** self.gamma * -y * np.log(p), axis=-1)
        return self._values(elements)

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        y = self._smooth(y_true, self.label_smoothing, 1.0 / y_true.shape[-1])
        given, p, total = self._probabilities(y_pred)
        d_p = self._scratch.like("d_p", y_pred)
        rest = 1 - p
        np.multiply(self.gamma * rest ** (self.gamma - 1) * np.log(p) - rest**self.gamma / p, y, out=d_p)
        d_p *= np.asarray(self.alpha, p.dtype)
        d_p *= given == p
        d_y = self._scratch.like("d_y", y_pred)
        np.subtract(d_p, np.sum(d_p * given, axis=-1, keepdims=True), out=d_y)
        if self.from_logits:
            d_y *= given
        else:
            d_y /= total
        d_y *= 1.0 / math.prod(y_pred.shape[1:-1])
        return d_y
