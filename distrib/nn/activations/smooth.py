"""Smooth functions of one element that are near to relu, and the exponential."""

from __future__ import annotations

import math

import numpy as np

from distrib.base.arrays import Array
from distrib.nn.activations.activation import Activation
from distrib.nn.erf import erf

_GELU_TANH = math.sqrt(2.0 / math.pi)
_GELU_CUBIC = 0.044715


class Gelu(Activation):
    """`x * Phi(x)`, Phi the normal distribution function (Hendrycks and Gimpel, 2016).

    Args:
        approximate: use the tanh approximation instead.
    """

    needs_input = True

    def __init__(self, approximate: bool = False) -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, x: Array, y: Array) -> None:
        np.multiply(x, self._phi(x), out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        if self.approximate:
            tanh = 2.0 * self._phi(x) - 1.0
            density = 0.5 * (1.0 - tanh * tanh) * _GELU_TANH * (1.0 + 3.0 * _GELU_CUBIC * x * x)
        else:
            density = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
        d_y *= self._phi(x) + x * density

    def _phi(self, x: Array) -> Array:
        if self.approximate:
            return 0.5 * (1.0 + np.tanh(_GELU_TANH * (x + _GELU_CUBIC * x * x * x)))
        return 0.5 * (1.0 + erf(x * math.sqrt(0.5)))


class Exponential(Activation):
    """`exp(x)`."""

    def forward(self, x: Array, y: Array) -> None:
        np.exp(x, out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        d_y *= y


class Silu(Activation):
    """`x * sigmoid(x)`, also called swish (Ramachandran et al., 2017)."""

    needs_input = True

    def forward(self, x: Array, y: Array) -> None:
        np.multiply(x, self._sigmoid(x), out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        slope = self._sigmoid(x)  # s + x s (1 - s) is s + y (1 - s)
        rest = self._scratch.like("rest", x)
        np.subtract(1, slope, out=rest)
        rest *= y
        slope += rest
        d_y *= slope

    def _sigmoid(self, x: Array) -> Array:
        sigmoid = self._scratch.like("sigmoid", x)
        sigmoid_of(x, sigmoid)
        return sigmoid


class HardSilu(Activation):
    """`x * hard_sigmoid(x)`, also called hard_swish (Howard et al., 2019)."""

    needs_input = True

    def forward(self, x: Array, y: Array) -> None:
        np.multiply(x, self._gate(x), out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        slope = self._gate(x)  # where the gate is open in part its own slope, 1 / 6, counts too
        part = self._scratch.like("part", x)
        inside = self._scratch.like("inside", x, np.dtype(bool))
        np.abs(x, out=part)
        np.less(part, 3, out=inside)
        np.multiply(x, 1.0 / 6.0, out=part)
        part *= inside
        slope += part
        d_y *= slope

    def _gate(self, x: Array) -> Array:
        gate = self._scratch.like("gate", x)
        np.multiply(x, 1.0 / 6.0, out=gate)
        gate += 0.5
        np.clip(gate, 0, 1, out=gate)
        return gate


class Softplus(Activation):
    """`log(1 + exp(x))`."""

    def forward(self, x: Array, y: Array) -> None:
        np.logaddexp(0, x, out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        slope = self._scratch.like("slope", y)  # sigmoid(x) is 1 - exp(-y)
        np.negative(y, out=slope)
        np.expm1(slope, out=slope)
        np.negative(slope, out=slope)
        d_y *= slope


class LogSigmoid(Activation):
    """`log(sigmoid(x))`."""

    def forward(self, x: Array, y: Array) -> None:
        np.negative(x, out=y)
        np.logaddexp(0, y, out=y)
        np.negative(y, out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        slope = self._scratch.like("slope", y)  # 1 - sigmoid(x) is 1 - exp(y)
        np.expm1(y, out=slope)
        np.negative(slope, out=slope)
        d_y *= slope


class Mish(Activation):
    """`x * tanh(softplus(x))` (Misra, 2019)."""

    needs_input = True

    def forward(self, x: Array, y: Array) -> None:
        np.multiply(x, self._tanh(x), out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        tanh = self._tanh(x)  # tanh + x (1 - tanh^2) sigmoid(x)
        slope = self._scratch.like("slope", x)
        sigmoid_of(x, slope)
        slope *= x
        square = self._scratch.like("square", x)
        np.multiply(tanh, tanh, out=square)
        square *= slope
        slope -= square
        slope += tanh
        d_y *= slope

    def _tanh(self, x: Array) -> Array:
        tanh = self._scratch.like("tanh", x)
        np.logaddexp(0, x, out=tanh)
        np.tanh(tanh, out=tanh)
        return tanh


class Squareplus(Activation):
    """`(x + sqrt(x * x + b)) / 2` (Barron, 2021)."""

    needs_input = True

    def __init__(self, b: float = 4.0) -> None:
        super().__init__()
        self.b = b

    def forward(self, x: Array, y: Array) -> None:
        np.add(x, self._root(x), out=y)
        y *= 0.5

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        slope = self._root(x)
        np.divide(x, slope, out=slope)
        slope += 1
        slope *= 0.5
        d_y *= slope

    def _root(self, x: Array) -> Array:
        root = self._scratch.like("root", x)
        np.multiply(x, x, out=root)
        root += self.b
        np.sqrt(root, out=root)
        return root


class SparsePlus(Activation):
    """0 up to -1, x from 1 on, and `(x + 1)^2 / 4` between."""

    needs_input = True

    def forward(self, x: Array, y: Array) -> None:
        inside = self._scratch.like("inside", x)
        np.clip(x, -1, 1, out=inside)
        np.subtract(x, inside, out=y)
        np.maximum(y, 0, out=y)  # what is above 1
        inside += 1
        inside *= inside
        inside *= 0.25
        y += inside

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        slope = self._scratch.like("inside", x)
        np.clip(x, -1, 1, out=slope)
        slope += 1
        slope *= 0.5
        d_y *= slope


def sigmoid_of(x: Array, out: Array) -> None:
    """Write `1 / (1 + exp(-x))` without overflow."""
    np.multiply(x, 0.5, out=out)
    np.tanh(out, out=out)
    out += 1
    out *= 0.5
