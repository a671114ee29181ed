"""Loss: the base class of losses."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import ArrayLike

from distrib.autodiff.tensor import as_tensor, read
from distrib.autodiff.whole import is_tracked, recorded
from distrib.base.arguments import HasArguments
from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError, ShapeError
from distrib.nn import activations
from distrib.nn.custom_objects import get_registered_name
from distrib.nn.forms import loss_form
from distrib.nn.layers.shapes import snake_case
from distrib.nn.losses.own_loss import TapedLoss
from distrib.nn.workspace import Workspace

EPSILON = 1e-7
"""Probabilities are clipped to [EPSILON, 1 - EPSILON], as in Keras."""


REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


class Loss(HasArguments):
    """One value an example, and its gradient.

    A subclass of one's own says it in `call`.

    Args:
        from_logits: whether predictions are logits, for losses that know any.
        reduction: what a call returns: `"sum_over_batch_size"`, the sum of weighted values over the number of
            examples;
            `"mean_with_sample_weight"`, over the sum of the weights; `"mean"`, the same; `"sum"`; or `"none"`, the
            values. `fit` takes the first only: it is exact for any number of replicas.
        name: of the loss.
        dtype: accepted for Keras' sake.
        axis: -1.

    Raises:
        ConfigError: another reduction or axis.
    """

    check_mean: ClassVar[Callable[[Any], None]] = staticmethod(lambda loss: None)
    """Called with a loss whose mean over the examples of this process is to be trained on, under a tape."""

    fused_activation: ClassVar[type[activations.Activation] | None] = None
    """The activation whose logits this loss can start from."""

    def __init__(
        self,
        from_logits: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        axis: int = -1,
    ) -> None:
        if reduction not in REDUCTIONS:
            raise ConfigError(
                f"{type(self).__name__} expects reduction in {', '.join(map(str, REDUCTIONS))}. "
                f"Received: {reduction!r}."
            )
        if axis != -1:
            raise ConfigError(
                f"{type(self).__name__} supports the last axis. Received: axis={axis}. Move it there with Permute."
            )
        self.from_logits, self.reduction = from_logits, reduction
        self.name = name or snake_case(type(self).__name__)
        self._scratch = Workspace()
        self._taped: TapedLoss | None = None

    def prepare(self, y_true: Array, output_shape: Shape, dtype: np.dtype[Any]) -> Array:
        """Check the targets of a whole data set and bring them into the form `forward` takes.

        Args:
            y_true: `(examples, ...)` as the user gave them.
            output_shape: shape of one output of the model.
            dtype: the model's dtype.

        Raises:
            ShapeError: they do not fit the outputs.
            DataError: they hold values this loss cannot take.
        """
        if y_true.shape[1:] != output_shape and (*y_true.shape[1:], 1) == output_shape:
            y_true = y_true.reshape(len(y_true), *output_shape)
        if y_true.shape[1:] != output_shape and type(self).call is Loss.call:
            raise ShapeError(
                f"{type(self).__name__} expects targets of shape {shape_of_batch(output_shape)}. "
                f"Received: {shape_of_batch(y_true.shape[1:])}."
            )
        return np.asarray(y_true, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The values of the examples, in a subclass of one's own that is written with functions that a tape knows.

        Args:
            y_true: targets, `(batch, ...)`.
            y_pred: predictions, `(batch, *output_shape)`.

        Returns:
            `(batch,)`, or `(batch, ...)`, of which each example has the mean; or one number, the mean over the batch.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither call nor forward.")

    def forward(self, y_true: Array, y_pred: Array) -> Array:
        """The values `(batch,)`, in memory of this loss.

        Args:
            y_true: prepared targets of the batch.
            y_pred: `(batch, *output_shape)`; logits if `from_logits`.
        """
        if self._taped is None:
            self._taped = TapedLoss(self.call, self.name)
        return self._taped.forward(y_true, y_pred)

    def backward(self, y_true: Array, y_pred: Array) -> Array:
        """Gradient of each value with respect to its prediction, `(batch, *output_shape)`, after `forward`."""
        assert self._taped is not None
        return self._taped.backward()

    @property
    def is_of_batch(self) -> bool:
        """Whether the last values are one for the batch, so that examples cannot be weighted."""
        return self._taped is not None and self._taped.is_of_batch

    def activate(self, logits: Array) -> Array:
        """The activation of `logits`, after `forward`; only if `fused_activation` is set."""
        raise AssertionError(f"{type(self).__name__} does not start from logits")

    def on_logits(self) -> Loss:
        """The same loss of the same probabilities, starting from their logits."""
        twin = self.twin()
        twin.from_logits = True
        return twin

    def twin(self) -> Self:
        """The same loss with scratch memory of its own."""
        twin = copy.copy(self)
        twin._scratch, twin._taped = Workspace(), None
        for name, part in vars(self).items():
            if isinstance(part, activations.Activation):
                setattr(twin, name, part.twin())
        return twin

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> Array:
        """The loss of a batch, reduced as `reduction` says.

        Args:
            y_true: targets, `(batch, ...)`.
            y_pred: predictions, `(batch, *output_shape)`.
            sample_weight: `(batch,)`; 1 by default.
        """
        predictions = predictions_of(y_pred)
        values = self.values(y_true, predictions)
        weights = None
        divisor: float = max(1, len(values))
        if sample_weight is not None:
            weights = np.asarray(sample_weight, values.dtype).reshape(-1)
            values = values * weights
            if self.reduction in ("mean", "mean_with_sample_weight"):
                divisor = float(np.sum(weights, dtype=np.float64)) or 1.0
        if self.reduction in ("none", None):
            return values
        if self.reduction != "sum" and is_tracked(values):
            Loss.check_mean(self)
        if self.reduction == "sum":
            divisor = 1.0
        total = np.sum(np.asarray(values), dtype=np.float64)

        def pullback(d_total: Array) -> list[Array]:
            return [np.full(len(values), np.asarray(d_total) / divisor, values.dtype)]

        reduced = np.asarray(total / divisor, values.dtype)
        form = lambda each: np.sum(each) / divisor  # noqa: E731
        return cast(Array, recorded(self.name, reduced, [values], pullback, form=form))

    def values(self, y_true: ArrayLike, y_pred: Array, is_used_once: bool = False) -> Array:
        """The value of each example, `(batch,)`, in memory of its own.

        Args:
            y_true: targets, `(batch, ...)`, as the user gave them.
            y_pred: predictions of floats, `(batch, *output_shape)`.
            is_used_once: nobody else uses this loss, so that its memory need not be copied.

        Raises:
            ConfigError: a tape tracks the targets: losses have a gradient for predictions only.
        """
        if is_tracked(y_true):
            raise ConfigError(
                f"{type(self).__name__} has a gradient for y_pred, not for y_true, which a GradientTape tracks. Pass "
                "stop_gradient(y_true); or check the order: loss(y_true, y_pred)."
            )
        is_recorded = is_tracked(y_pred)
        twin = self.twin() if is_recorded and not is_used_once else self
        predictions = np.asarray(y_pred)
        targets = twin.prepare(np.asarray(y_true), predictions.shape[1:], predictions.dtype)
        values = twin.forward(targets, predictions)
        if not is_recorded:
            return as_tensor(values if is_used_once else values.copy())

        def pullback(d_values: Array) -> list[Array | None]:
            d_y = np.array(twin.backward(targets, predictions))
            d_y *= np.asarray(d_values).reshape(-1, *[1] * (d_y.ndim - 1))
            return [None, d_y]

        written = loss_form(self)
        form = None if written is None else lambda _, p: written(targets, p)
        return cast(Array, recorded(self.name, values, [y_true, y_pred], pullback, form=form))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the loss, as JSON values."""
        # Configurations of versions that had neither name nor reduction are the same.
        parameters = inspect.signature(type(self)).parameters
        usual = {"reduction": "sum_over_batch_size", "name": getattr(parameters.get("name"), "default", None)}
        return {
            "class": get_registered_name(type(self)),
            **{
                name: value
                for name, value in vars(self).items()
                if not name.startswith("_") and usual.get(name, self) != value
            },
        }

    def _smooth(self, y_true: Array, share: float, towards: float) -> Array:
        """Targets moved `share` of the way towards `towards`."""
        if not share:
            return y_true
        smooth = self._scratch.like("smooth", y_true)
        np.multiply(y_true, 1.0 - share, out=smooth)
        smooth += share * towards
        return smooth

    def _values(self, elements: Array) -> Array:
        """The mean of `(batch, ...)` elements over all axes but the first."""
        values = self._scratch.rows("values", len(elements), (), elements.dtype)
        if elements.ndim == 1:
            np.copyto(values, elements)
        else:
            np.mean(elements, axis=tuple(range(1, elements.ndim)), out=values)
        return values


class FunctionLoss(Loss):
    """A function of one's own as a loss.

    Args:
        function: see `Loss.call`.
    """

    def __init__(self, function: Any) -> None:
        super().__init__(name=getattr(function, "__name__", type(function).__name__))
        self._function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The function of targets and predictions."""
        return self._function(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """The name of the function: registered, or in `custom_objects`, it is found again."""
        named = self._function if hasattr(self._function, "__name__") else type(self._function)
        return {"class": get_registered_name(named)}


def predictions_of(y_pred: ArrayLike) -> Array:
    """Predictions as a tensor of floats; Python's numbers as float32."""
    predictions = as_tensor(read(y_pred) if hasattr(y_pred, "dtype") else np.asarray(y_pred, np.float32))
    return predictions if predictions.dtype.kind == "f" else predictions.astype(np.float32)


def elements_per_example(y_pred: Array) -> int:
    """Number of elements of each example of `(batch, ...)`."""
    return math.prod(y_pred.shape[1:])


def shape_of_batch(shape: Shape) -> str:
    """The shape of a batch of such examples, for an error message."""
    return "(" + ", ".join(["batch", *map(str, shape)]) + ")"
