"""Losses of one's own: a function of targets and predictions, or `call` of a subclass, under a tape."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.autodiff.tape import GradientTape
from distrib.autodiff.tensor import Tensor, as_tensor
from distrib.base.arrays import Array
from distrib.base.errors import ShapeError


class TapedLoss:
    """The last call of a function of targets and predictions, and its gradient.

    The function returns a value for each example, `(batch,)`; or values `(batch, ...)`, of which each example has the
    mean. Or it returns one number for the batch: then each example is given that value, so a mean over the batch is
    the same on any number of replicas.

    Args:
        function: takes targets and predictions.
        name: of the loss, for errors.

    Attributes:
        is_of_batch: whether it has returned one number.
    """

    def __init__(self, function: Callable[[Any, Any], Any], name: str) -> None:
        self._function, self._name = function, name
        self._tape = GradientTape()
        self._values: Any = None
        self._predictions: Any = None
        self.is_of_batch = False

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        """See `Loss.forward`."""
        count = len(y_pred)
        self._predictions = as_tensor(y_pred.view(Tensor))
        if not count:
            self._values = None
            return np.zeros(0, y_pred.dtype)
        self._tape = GradientTape()
        with self._tape:
            self._tape.watch(self._predictions)
            self._values = values = as_tensor(self._function(as_tensor(y_true), self._predictions))
        found = np.asarray(values)
        self.is_of_batch = found.ndim == 0
        if self.is_of_batch:
            return np.full(count, found, y_pred.dtype)
        if len(found) != count:
            raise ShapeError(
                f"Loss '{self._name}' returns a value for each of {count} examples, or one number. Received: shape "
                f"{found.shape}."
            )
        found = found.reshape(count, -1).mean(axis=1) if found.ndim > 1 else found
        return np.array(found, y_pred.dtype)

    def backward(self) -> Array:
        """See `Loss.backward`."""
        predictions, values = self._predictions, self._values
        if values is None:
            return np.zeros(predictions.shape, predictions.dtype)
        share = len(predictions) if self.is_of_batch else 1 / math.prod(values.shape[1:])
        weights = as_tensor(np.full(values.shape, share, values.dtype))
        found = self._tape.gradients([values], [predictions], [weights])[0]
        return np.zeros(predictions.shape, predictions.dtype) if found is None else np.array(found)
