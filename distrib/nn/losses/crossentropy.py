"""Cross-entropies: binary, categorical, and categorical with labels as integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError, DataError, ShapeError
from distrib.nn import activations
from distrib.nn.losses.loss import EPSILON, Loss, elements_per_example, shape_of_batch


class BinaryCrossentropy(Loss):
    """Mean of `-(y log p + (1 - y) log(1 - p))`.

    Args:
        from_logits: predictions are logits, p = sigmoid(prediction).
        label_smoothing: in [0, 1]: targets are squeezed that share of the way towards 0.5.
    """

    fused_activation = activations.Sigmoid

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, reduction, name, dtype, axis)
        self.label_smoothing = label_smoothing
        self._sigmoid = activations.Sigmoid()

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        y_true = self._smooth(y_true, self.label_smoothing, 0.5)
        elements = self._scratch.like("elements", y_pred)
        if self.from_logits:
            # max(z, 0) - z y + log(1 + exp(-|z|)), as in TensorFlow
            np.abs(y_pred, out=elements)
            np.negative(elements, out=elements)
            np.exp(elements, out=elements)
            np.log1p(elements, out=elements)
            term = self._scratch.like("term", y_pred)
            elements += np.maximum(y_pred, 0, out=term)
            elements -= np.multiply(y_pred, y_true, out=term)
        else:
            p = np.clip(y_pred, EPSILON, 1.0 - EPSILON)
            np.negative(y_true * np.log(p) + (1.0 - y_true) * np.log(1.0 - p), out=elements)
        return self._values(elements)

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        y_true = self._smooth(y_true, self.label_smoothing, 0.5)
        d_y = self._scratch.like("d_y", y_pred)
        if self.from_logits:
            self._sigmoid.forward(y_pred, d_y)
            d_y -= y_true
        else:
            p = np.clip(y_pred, EPSILON, 1.0 - EPSILON)
            np.multiply((p - y_true) / (p * (1.0 - p)), p == y_pred, out=d_y)
        d_y *= 1.0 / elements_per_example(y_pred)
        return d_y

    def activate(self, logits: Array) -> Array:
        p = self._scratch.like("activated", logits)
        self._sigmoid.forward(logits, p)
        return p


class _SoftmaxCrossentropy(Loss):
    """Base of the two categorical cross-entropies: log-probabilities along the last axis."""

    fused_activation = activations.Softmax

    def _log_probabilities(self, y_pred: Array) -> Array:
        """`log p`, in scratch memory; p itself is kept for `backward` and `activate`."""
        self._p = p = self._scratch.like("p", y_pred)
        log_p = self._scratch.like("log_p", y_pred)
        row = self._scratch.rows("row", len(y_pred), (*y_pred.shape[1:-1], 1), y_pred.dtype)
        if self.from_logits:
            np.maximum.reduce(y_pred, axis=-1, keepdims=True, out=row)
            np.subtract(y_pred, row, out=log_p)
            np.exp(log_p, out=p)
            np.add.reduce(p, axis=-1, keepdims=True, out=row)
            np.divide(p, row, out=p)
            np.log(row, out=row)
            log_p -= row
        else:
            # Keras divides by the row sum, clips, and takes the logarithm of what is left.
            np.add.reduce(y_pred, axis=-1, keepdims=True, out=row)
            np.divide(y_pred, row, out=p)
            np.clip(p, EPSILON, 1.0 - EPSILON, out=log_p)
            np.log(log_p, out=log_p)
        return log_p

    def activate(self, logits: Array) -> Array:
        return self._p

    def _from_probabilities(self, d_log_p: Array, y_pred: Array) -> Array:
        """Turn the gradient of log p into that of the unnormalised predictions, in place."""
        p = self._p
        inside = (p >= EPSILON) & (p <= 1.0 - EPSILON)
        d_p = np.where(inside, d_log_p / np.maximum(p, EPSILON), 0)
        d_p -= np.sum(d_p * p, axis=-1, keepdims=True)
        np.divide(d_p, np.sum(y_pred, axis=-1, keepdims=True), out=d_log_p)
        return d_log_p


class CategoricalCrossentropy(_SoftmaxCrossentropy):
    """`-sum(y_true * log p)` over the last axis; targets are distributions, such as one-hot rows.

    Args:
        from_logits: predictions are logits, p = softmax(prediction).
        label_smoothing: in [0, 1]: that share of the weight is spread over all classes.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, reduction, name, dtype, axis)
        self.label_smoothing = label_smoothing

    def prepare(self, y_true: Array, output_shape: Shape, dtype: np.dtype[Any]) -> Array:
        if y_true.shape[1:] == output_shape[:-1] and output_shape[-1:] != (1,):
            raise ShapeError(
                f"CategoricalCrossentropy expects one-hot targets of shape {shape_of_batch(output_shape)}. Received: "
                f"{shape_of_batch(y_true.shape[1:])}. Use 'sparse_categorical_crossentropy' for integer labels."
            )
        return super().prepare(y_true, output_shape, dtype)

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        log_p = self._log_probabilities(y_pred)
        log_p *= self._smooth(y_true, self.label_smoothing, 1.0 / y_true.shape[-1])
        elements = self._scratch.rows("elements", len(y_pred), y_pred.shape[1:-1], y_pred.dtype)
        np.add.reduce(log_p, axis=-1, out=elements)
        np.negative(elements, out=elements)
        return self._values(elements)

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        y_true = self._smooth(y_true, self.label_smoothing, 1.0 / y_true.shape[-1])
        d_y = self._scratch.like("d_y", y_pred)
        if self.from_logits:
            total = np.add.reduce(y_true, axis=-1, keepdims=True)
            np.multiply(self._p, total, out=d_y)
            d_y -= y_true
        else:
            np.negative(y_true, out=d_y)
            d_y = self._from_probabilities(d_y, y_pred)
        d_y *= 1.0 / math.prod(y_pred.shape[1:-1])
        return d_y


class SparseCategoricalCrossentropy(_SoftmaxCrossentropy):
    """`-log p[label]`; targets are integer labels.

    Args:
        from_logits: predictions are logits, p = softmax(prediction).
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, reduction, name, dtype, axis)
        if ignore_class is not None:
            raise ConfigError(
                "SparseCategoricalCrossentropy does not support ignore_class. Give these examples weight 0."
            )
        self._row_begins = np.empty(0, np.intp)

    def prepare(self, y_true: Array, output_shape: Shape, dtype: np.dtype[Any]) -> Array:
        labels = y_true
        if labels.shape[1:] == (*output_shape[:-1], 1):
            labels = labels.reshape(labels.shape[:-1])
        if not output_shape or labels.shape[1:] != output_shape[:-1]:
            hint = (
                " Use 'categorical_crossentropy' for one-hot targets."
                if labels.shape[1:] == output_shape
                else ""
            )
            raise ShapeError(
                "SparseCategoricalCrossentropy expects integer labels of shape "
                f"{shape_of_batch(output_shape[:-1])} for outputs of shape {shape_of_batch(output_shape)}. "
                f"Received: {shape_of_batch(y_true.shape[1:])}.{hint}"
            )
        as_int = labels.astype(np.intp)
        if labels.dtype.kind not in "iu" and not np.array_equal(as_int, labels):
            raise DataError(
                "SparseCategoricalCrossentropy expects integer labels. Received: fractions or NaN."
            )
        classes = output_shape[-1]
        # Without a sign, what is negative is larger than all classes: one search finds both.
        if as_int.size and as_int.view(np.uintp).max() >= classes:
            wrong = int(as_int.min() if as_int.min() < 0 else as_int.max())
            where = int(np.argmax((as_int.reshape(len(as_int), -1) == wrong).any(axis=1)))
            raise DataError(
                f"SparseCategoricalCrossentropy expects labels 0 to {classes - 1}, as the model has {classes} "
                f"outputs. Received: label {wrong} in example {where}."
            )
        return as_int

    def _at_labels(self, y_true: Array, y_pred: Array) -> Array:
        """Indices of the labels' elements in the flattened predictions."""
        classes = y_pred.shape[-1]
        rows = y_pred.size // classes
        begins = self._row_begins
        if len(begins) < rows or (len(begins) > 1 and begins[1] != classes):
            self._row_begins = begins = np.arange(0, rows * classes, classes, dtype=np.intp)
        index = self._scratch.like("index", y_true)
        np.add(begins[:rows], y_true.reshape(-1), out=index.reshape(-1))
        return index

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        log_p = self._log_probabilities(y_pred)
        self._index = self._at_labels(y_true, y_pred)
        elements = self._scratch.rows("elements", len(y_pred), y_pred.shape[1:-1], y_pred.dtype)
        log_p.reshape(-1).take(self._index, out=elements, mode="clip")
        np.negative(elements, out=elements)
        return elements if elements.ndim == 1 else self._values(elements)

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        d_y = self._scratch.like("d_y", y_pred)
        flat = d_y.reshape(-1)
        if self.from_logits:
            np.copyto(d_y, self._p)
            flat[self._index.reshape(-1)] -= 1
        else:
            d_y.fill(0)
            flat[self._index.reshape(-1)] = -1
            d_y = self._from_probabilities(d_y, y_pred)
        if y_pred.ndim > 2:
            d_y *= 1.0 / math.prod(y_pred.shape[1:-1])
        return d_y
