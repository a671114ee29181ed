"""Hinge losses, of classifiers with a margin. Labels are -1 and 1; a data set of 0 and 1 is converted."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.nn.losses.loss import Loss, elements_per_example


class Hinge(Loss):
    """Mean of `max(1 - y_true * y_pred, 0)`."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "hinge", dtype: Any = None
    ) -> None:
        super().__init__(False, reduction, name, dtype)

    def prepare(self, y_true: Array, output_shape: Shape, dtype: np.dtype[Any]) -> Array:
        # Of the whole data set, not of a batch as in Keras: a part of a batch may have labels of one class only.
        prepared = super().prepare(y_true, output_shape, dtype)
        are_binary = bool(((prepared == 0) | (prepared == 1)).all())
        return 2 * prepared - 1 if are_binary else prepared

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        return self._values(self._margins(y_true, y_pred))

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        margins = self._margins(y_true, y_pred)
        d_y = self._scratch.like("d_y", y_pred)
        np.multiply(y_true, -1.0 / elements_per_example(y_pred), out=d_y)
        d_y *= margins > 0
        return d_y

    def _margins(self, y_true: Array, y_pred: Array) -> Array:
        margins = self._scratch.like("margins", y_pred)
        np.multiply(y_true, y_pred, out=margins)
        np.subtract(1.0, margins, out=margins)
        np.maximum(margins, 0, out=margins)
        return margins


class SquaredHinge(Hinge):
    """Mean of `max(1 - y_true * y_pred, 0) ** 2`."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "squared_hinge", dtype: Any = None
    ) -> None:
        super().__init__(reduction, name, dtype)

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        margins = self._margins(y_true, y_pred)
        margins *= margins
        return self._values(margins)

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        margins = self._margins(y_true, y_pred)
        d_y = self._scratch.like("d_y", y_pred)
        np.multiply(y_true, -2.0 / elements_per_example(y_pred), out=d_y)
        d_y *= margins
        return d_y


class CategoricalHinge(Loss):
    """`max(neg - pos + 1, 0)` of one-hot rows, with `pos = sum(y_true y_pred)`, `neg = max((1 - y_true) y_pred)`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(False, reduction, name, dtype)

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        margins, _, _ = self._margins(y_true, y_pred)
        return self._values(margins[..., 0])

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        margins, others, largest = self._margins(y_true, y_pred)
        d_y = self._scratch.like("d_y", y_pred)
        is_largest = self._scratch.like("is_largest", y_pred, np.dtype(bool))
        np.equal(others, largest, out=is_largest)
        np.copyto(d_y, is_largest)
        np.sum(d_y, axis=-1, keepdims=True, out=largest)
        d_y /= largest  # equal ones share it
        np.subtract(1.0, y_true, out=others)
        d_y *= others
        d_y -= y_true
        is_positive = self._scratch.like("is_positive", margins, np.dtype(bool))
        np.greater(margins, 0, out=is_positive)
        d_y *= is_positive
        d_y *= y_pred.shape[-1] / elements_per_example(y_pred)
        return d_y

    def _margins(self, y_true: Array, y_pred: Array) -> tuple[Array, Array, Array]:
        """The margins, the predictions of the other classes, and the largest of these."""
        shape = (*y_pred.shape[1:-1], 1)
        margins = self._scratch.rows("margins", len(y_pred), shape, y_pred.dtype)
        largest = self._scratch.rows("largest", len(y_pred), shape, y_pred.dtype)
        others = self._scratch.like("others", y_pred)
        np.multiply(y_true, y_pred, out=others)
        np.sum(others, axis=-1, keepdims=True, out=margins)
        np.subtract(1.0, y_true, out=others)
        others *= y_pred
        np.max(others, axis=-1, keepdims=True, out=largest)
        np.subtract(largest, margins, out=margins)
        margins += 1.0
        np.maximum(margins, 0, out=margins)
        return margins, others, largest
