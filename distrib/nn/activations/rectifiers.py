"""Rectifiers: relu and its relatives, which treat positive and negative elements differently."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.activations.activation import Activation


class Relu(Activation):
    """max(x, 0); in general x above `threshold`, at most `max_value`, else `negative_slope * (x - threshold)`.

    Args:
        negative_slope: slope below the threshold.
        max_value: largest value; None for no bound.
        threshold: from where on values pass.

    Raises:
        ConfigError: a negative argument.
    """

    def __init__(
        self, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
    ) -> None:
        super().__init__()
        for name, value in {
            "negative_slope": negative_slope,
            "max_value": max_value,
            "threshold": threshold,
        }.items():
            if value is not None and value < 0:
                raise ConfigError(f"Relu expects {name} >= 0. Received: {name}={value}.")
        self.negative_slope, self.max_value, self.threshold = negative_slope, max_value, threshold
        self.needs_input = bool(negative_slope or threshold) or max_value is not None

    def forward(self, x: Array, y: Array) -> None:
        if not self.needs_input:
            np.maximum(x, 0, out=y)
            return
        below = self._below(x)
        low = self._scratch.like("low", x)
        np.subtract(x, self.threshold, out=low)
        low *= self.negative_slope
        np.copyto(y, x)
        if self.max_value is not None:
            np.minimum(y, self.max_value, out=y)
        np.copyto(y, low, where=below)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        if not self.needs_input:
            positive = self._scratch.like("positive", y, np.dtype(bool))
            np.greater(y, 0, out=positive)
            np.multiply(d_y, positive, out=d_y)
            return
        if self.max_value is not None:
            above = self._scratch.like("above", x, np.dtype(bool))
            np.less(x, self.max_value, out=above)
            np.logical_or(above, self._below(x), out=above)
            np.multiply(d_y, above, out=d_y)
        np.multiply(d_y, self.negative_slope, out=d_y, where=self._below(x))

    def _below(self, x: Array) -> Array:
        below = self._scratch.like("below", x, np.dtype(bool))
        # As in Keras, the slope at 0 is the negative one, and the threshold itself passes.
        (np.less if self.threshold else np.less_equal)(x, self.threshold, out=below)
        return below

    def get_config(self) -> dict[str, Any]:
        usual = {"negative_slope": 0.0, "max_value": None, "threshold": 0.0}
        return {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) != value}


class Relu6(Relu):
    """min(max(x, 0), 6)."""

    def __init__(self) -> None:
        super().__init__(max_value=6.0)

    def get_config(self) -> dict[str, Any]:
        return {}


class LeakyRelu(Activation):
    """x for x > 0, else `negative_slope * x`."""

    def __init__(self, negative_slope: float = 0.2) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Array, y: Array) -> None:
        scaled = self._scratch.like("scaled", x)
        np.multiply(x, self.negative_slope, out=scaled)
        np.copyto(y, x)
        np.copyto(y, scaled, where=self._negative(x))

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        np.multiply(d_y, self.negative_slope, out=d_y, where=self._negative(y))

    def _negative(self, array: Array) -> Array:
        negative = self._scratch.like("negative", array, np.dtype(bool))
        np.less_equal(array, 0, out=negative)
        return negative


class Elu(Activation):
    """x for x > 0, else `alpha * (exp(x) - 1)` (Clevert et al., 2016)."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Array, y: Array) -> None:
        negative = self._scratch.like("negative", x)
        np.minimum(x, 0, out=negative)
        np.expm1(negative, out=negative)
        negative *= self.alpha
        np.maximum(x, 0, out=y)
        y += negative

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        slope = self._scratch.like("negative", y)
        np.add(y, self.alpha, out=slope)
        mask = self._scratch.like("positive", y, np.dtype(bool))
        np.greater(y, 0, out=mask)
        np.copyto(slope, 1, where=mask)
        d_y *= slope


class Selu(Elu):
    """`scale * elu(x, alpha)` with the constants of self-normalizing networks (Klambauer et al., 2017)."""

    _SCALE = 1.05070098735548049342

    def __init__(self) -> None:
        super().__init__(1.67326324235437728481)

    def forward(self, x: Array, y: Array) -> None:
        super().forward(x, y)
        y *= self._SCALE

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        unscaled = self._scratch.like("unscaled", y)
        np.divide(y, self._SCALE, out=unscaled)
        super().backward(d_y, x, unscaled)
        d_y *= self._SCALE

    def get_config(self) -> dict[str, Any]:
        return {}


class Celu(Activation):
    """x for x > 0, else `alpha * (exp(x / alpha) - 1)` (Barron, 2017)."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Array, y: Array) -> None:
        negative = self._scratch.like("negative", x)
        np.minimum(x, 0, out=negative)
        negative /= self.alpha
        np.expm1(negative, out=negative)
        negative *= self.alpha
        np.maximum(x, 0, out=y)
        y += negative

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        slope = self._scratch.like("negative", y)
        np.minimum(y, 0, out=slope)
        slope /= self.alpha
        slope += 1
        d_y *= slope


class Threshold(Activation):
    """x above `threshold`, else `default_value`.

    Args:
        threshold: above it x passes.
        default_value: of the other elements.
    """

    needs_input = True

    def __init__(self, threshold: float = 0.0, default_value: float = 0.0) -> None:
        super().__init__()
        self.threshold, self.default_value = threshold, default_value

    def forward(self, x: Array, y: Array) -> None:
        np.copyto(y, x)
        np.copyto(y, self.default_value, where=self._below(x))

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        np.copyto(d_y, 0, where=self._below(x))

    def _below(self, x: Array) -> Array:
        below = self._scratch.like("below", x, np.dtype(bool))
        np.less_equal(x, self.threshold, out=below)
        return below


class HardShrink(Activation):
    """x where |x| > `threshold`, else 0."""

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, x: Array, y: Array) -> None:
        size = self._scratch.like("size", x)
        np.abs(x, out=size)
        outside = self._scratch.like("outside", x, np.dtype(bool))
        np.greater(size, self.threshold, out=outside)
        np.multiply(x, outside, out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        outside = self._scratch.like("outside", y, np.dtype(bool))
        np.not_equal(y, 0, out=outside)
        d_y *= outside


class SoftShrink(Activation):
    """x moved towards 0 by `threshold`, and 0 where it would pass it."""

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, x: Array, y: Array) -> None:
        inside = self._scratch.like("inside", x)
        np.clip(x, -self.threshold, self.threshold, out=inside)
        np.subtract(x, inside, out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        outside = self._scratch.like("outside", y, np.dtype(bool))
        np.not_equal(y, 0, out=outside)
        d_y *= outside
