"""Activation functions with Keras' names, definitions and defaults.

`forward` writes f(x) into `y` (which may be `x` itself) and `backward` turns the gradient of y, in place, into
the gradient of x. A function whose derivative follows from y alone lets its layer overwrite x; gelu needs x and
says so.
"""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from distrib.base.arguments import HasArguments
from distrib.base.arrays import Array
from distrib.nn.erf import erf
from distrib.nn.registry import Registry
from distrib.nn.workspace import Workspace


class Activation(HasArguments):
    """A function of every element (softmax: of every row)."""

    needs_input = False
    """Whether `backward` reads x, so that `y` must be other memory than `x`."""

    def __init__(self) -> None:
        self._scratch = Workspace()

    @abstractmethod
    def forward(self, x: Array, y: Array) -> None:
        """Write f(x) into `y`."""

    @abstractmethod
    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        """Turn `d_y` in place into the gradient of x. `x` is valid only if `needs_input`."""

    def twin(self) -> Self:
        """The same function with scratch memory of its own."""
        twin = copy.copy(self)
        twin._scratch = Workspace()
        return twin

    def get_config(self) -> dict[str, Any]:
        """The arguments of this activation, as JSON values."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


class Linear(Activation):
    """x."""

    def forward(self, x: Array, y: Array) -> None:
        if y is not x:
            np.copyto(y, x)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        pass


class Relu(Activation):
    """max(x, 0)."""

    def forward(self, x: Array, y: Array) -> None:
        np.maximum(x, 0, out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        positive = self._scratch.like("positive", y, np.dtype(bool))
        np.greater(y, 0, out=positive)
        np.multiply(d_y, positive, out=d_y)


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


_GELU_TANH = math.sqrt(2.0 / math.pi)
_GELU_CUBIC = 0.044715


class Tanh(Activation):
    """Hyperbolic tangent."""

    def forward(self, x: Array, y: Array) -> None:
        np.tanh(x, out=y)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        slope = self._scratch.like("slope", y)
        np.multiply(y, y, out=slope)
        np.subtract(1, slope, out=slope)
        d_y *= slope


class Sigmoid(Activation):
    """`1 / (1 + exp(-x))`, computed as `(1 + tanh(x / 2)) / 2`, which cannot overflow."""

    def forward(self, x: Array, y: Array) -> None:
        np.multiply(x, 0.5, out=y)
        np.tanh(y, out=y)
        y += 1
        y *= 0.5

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        slope = self._scratch.like("slope", y)
        np.subtract(1, y, out=slope)
        slope *= y
        d_y *= slope


class Softmax(Activation):
    """`exp(x) / sum(exp(x))` over the last axis."""

    def forward(self, x: Array, y: Array) -> None:
        row = self._scratch.rows("row", len(x), (*x.shape[1:-1], 1), x.dtype)
        np.max(x, axis=-1, keepdims=True, out=row)
        np.subtract(x, row, out=y)
        np.exp(y, out=y)
        np.sum(y, axis=-1, keepdims=True, out=row)
        y /= row

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        row = self._scratch.rows("row", len(y), (*y.shape[1:-1], 1), y.dtype)
        product = self._scratch.like("product", y)
        np.multiply(d_y, y, out=product)
        np.sum(product, axis=-1, keepdims=True, out=row)
        d_y -= row
        d_y *= y


REGISTRY: Registry[Activation] = Registry(
    "activation",
    Activation,
    {
        "elu": Elu,
        "gelu": Gelu,
        "leaky_relu": LeakyRelu,
        "linear": Linear,
        "relu": Relu,
        "sigmoid": Sigmoid,
        "softmax": Softmax,
        "tanh": Tanh,
    },
)


def get(identifier: str | Activation | None) -> Activation:
    """The activation of that name, or `identifier` itself; None is linear.

    Raises:
        ConfigError: unknown name.
    """
    return Linear() if identifier is None else REGISTRY.get(identifier)


def from_config(config: Mapping[str, Any]) -> Activation:
    """The activation that a config with its `"class"` describes. Raises `ConfigError` unless it is built in."""
    return REGISTRY.from_config(config)


__all__ = [
    "Activation",
    "Elu",
    "Gelu",
    "LeakyRelu",
    "Linear",
    "Relu",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "get",
]


def __dir__() -> list[str]:
    return __all__
