"""Normalization: shifts and scales features to mean 0 and variance 1 of given data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError
from distrib.nn.initializers import Ones, Zeros
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey
from distrib.nn.variable import Variable

_EPSILON = 1e-7


class Normalization(Layer):
    """`(x - mean) / sqrt(variance)`, with the statistics of the data that `adapt` was called with, or as given.

    Args:
        axis: axes whose entries have statistics of their own, counted with the batch; None for one mean for all.
        mean: instead of `adapt`; one number, or one for each entry.
        variance: likewise.
        invert: undo the normalization instead.
        kwargs: see `Layer`.

    Raises:
        ConfigError: only one of `mean` and `variance`, or an axis that there is not, when the layer is built.
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ConfigError("Normalization expects both mean and variance, or neither and a call of adapt.")
        self.axis = axis
        self.invert = invert
        self.mean = None if mean is None else np.asarray(mean, np.float64)
        self.variance = None if variance is None else np.asarray(variance, np.float64)
        self.is_given = mean is not None
        self._count = 0

    def _kept(self, ndim: int) -> tuple[int, ...]:
        """The axes, of a batch, whose entries have statistics of their own."""
        axes = () if self.axis is None else tuple(int(each) for each in np.atleast_1d(self.axis))
        kept = tuple(sorted(axis + ndim if axis < 0 else axis for axis in axes))
        if any(not 1 <= axis < ndim for axis in kept):
            raise ConfigError(
                f"Normalization expects an axis from 1 to {ndim - 1}. Received: axis={self.axis}."
            )
        return kept

    def _of_example(self, statistic: Array, input_shape: Shape) -> Array:
        """A statistic in a shape that broadcasts against an example."""
        kept = self._kept(len(input_shape) + 1)
        shape = tuple(size if axis in kept else 1 for axis, size in enumerate(input_shape, 1))
        if statistic.ndim == 0:
            return statistic
        return np.broadcast_to(statistic.reshape(-1), (int(np.prod(shape)),)).reshape(shape)

    def adapt(self, data: ArrayLike, batch_size: int | None = None, steps: int | None = None) -> None:
        """Take the mean and the variance of data; what was known before is forgotten.

        Args:
            data: `(examples, ...)`.
            batch_size: accepted for Keras' sake.
            steps: likewise.

        Raises:
            ConfigError: they were given when the layer was made.
        """
        if self.is_given:
            raise ConfigError(
                f"Normalization '{self.name}' was made with a mean and a variance. Do not call adapt."
            )
        array = np.asarray(data)
        if array.ndim == 1:
            array = array[:, None]
        kept = self._kept(array.ndim)
        others = tuple(axis for axis in range(array.ndim) if axis not in kept)
        self.mean = np.mean(array, axis=others, dtype=np.float64)
        self.variance = np.var(array, axis=others, dtype=np.float64)
        self._count = len(array)
        if self.variables:
            for variable, value in zip(self.variables, (self.mean, self.variance, self._count), strict=True):
                variable.assign(np.asarray(value, variable.dtype).reshape(variable.shape))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self._kept(len(input_shape) + 1)
        return input_shape

    def make_variables(self, input_shape: Shape, seed: int) -> list[Variable]:
        """Keras' mean, variance and count, which are not trained; none where they were given."""
        if self.is_given:
            return []
        shape = tuple(input_shape[axis - 1] for axis in self._kept(len(input_shape) + 1))
        starts = [
            ("mean", shape, Zeros(), self.mean),
            ("variance", shape, Ones(), self.variance),
            ("count", (), Zeros(), self._count),
        ]
        variables = []
        for role, each, initializer, value in starts:
            variable = self.add_variable(role, each, initializer, seed)
            variable.trainable = False
            if value is not None:
                variable.assign(np.asarray(value, variable.dtype).reshape(each))
            variables.append(variable)
        return variables

    def _statistics(self) -> tuple[Array, Array]:
        mean, variance = self.mean, self.variance
        if self.variables:
            mean, variance = self.variables[0].value, self.variables[1].value
        assert mean is not None
        assert variance is not None
        root = np.maximum(np.sqrt(variance), _EPSILON)
        shaped = [self._of_example(np.asarray(each), self.input_shape) for each in (mean, root)]
        return shaped[0].astype(self.dtype), shaped[1].astype(self.dtype)

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        mean, root = self._statistics()
        y = self._scratch.like("y", x)
        if self.invert:
            np.multiply(x, root, out=y)
            y += mean
        else:
            np.subtract(x, mean, out=y)
            y /= root
        return y

    def backward(self, d_y: Array) -> Array:
        root = self._statistics()[1]
        if self.invert:
            d_y *= root
        else:
            d_y /= root
        return d_y

    def get_config(self) -> dict[str, Any]:
        given = {} if not self.is_given else {"mean": _listed(self.mean), "variance": _listed(self.variance)}
        axis = self.axis if self.axis is None or isinstance(self.axis, int) else list(self.axis)
        return super().get_config() | {"axis": axis, "invert": self.invert} | given


def _listed(value: Array | None) -> Any:
    return None if value is None else value.tolist()
