"""Gradients of functions of elements. Operands of two are broadcast, so their gradients are summed back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.autodiff.operations import composite, like, plain_result, rule


def _unary(function: np.ufunc, derivative: Callable[[Any, Any], Any]) -> None:
    """`derivative(x, y)`, which the gradient of y is multiplied by."""
    rule(function, lambda d, y, x: like(d * derivative(x, y), x))


rule(np.negative, lambda d, y, x: -d)
rule(np.positive, lambda d, y, x: d)
rule(np.conjugate, lambda d, y, x: d)
_unary(np.exp, lambda x, y: y)
_unary(np.exp2, lambda x, y: y * math.log(2))
_unary(np.expm1, lambda x, y: y + 1)
_unary(np.log, lambda x, y: 1 / x)
_unary(np.log2, lambda x, y: 1 / (x * math.log(2)))
_unary(np.log10, lambda x, y: 1 / (x * math.log(10)))
_unary(np.log1p, lambda x, y: 1 / (x + 1))
_unary(np.sqrt, lambda x, y: 0.5 / y)
_unary(np.cbrt, lambda x, y: 1 / (3 * y * y))
_unary(np.square, lambda x, y: 2 * x)
_unary(np.reciprocal, lambda x, y: -y * y)
_unary(np.absolute, lambda x, y: np.sign(x))
_unary(np.fabs, lambda x, y: np.sign(x))
_unary(np.sin, lambda x, y: np.cos(x))
_unary(np.cos, lambda x, y: -np.sin(x))
_unary(np.tan, lambda x, y: 1 + y * y)
_unary(np.arcsin, lambda x, y: 1 / np.sqrt(1 - x * x))
_unary(np.arccos, lambda x, y: -1 / np.sqrt(1 - x * x))
_unary(np.arctan, lambda x, y: 1 / (1 + x * x))
_unary(np.sinh, lambda x, y: np.cosh(x))
_unary(np.cosh, lambda x, y: np.sinh(x))
_unary(np.tanh, lambda x, y: 1 - y * y)
_unary(np.arcsinh, lambda x, y: 1 / np.sqrt(x * x + 1))
_unary(np.arccosh, lambda x, y: 1 / np.sqrt(x * x - 1))
_unary(np.arctanh, lambda x, y: 1 / (1 - x * x))
_unary(np.deg2rad, lambda x, y: math.pi / 180)
_unary(np.rad2deg, lambda x, y: 180 / math.pi)
_unary(np.radians, lambda x, y: math.pi / 180)
_unary(np.degrees, lambda x, y: 180 / math.pi)

rule(np.add, lambda d, y, a, b: like(d, a), lambda d, y, a, b: like(d, b))
rule(np.subtract, lambda d, y, a, b: like(d, a), lambda d, y, a, b: like(-d, b))
rule(np.multiply, lambda d, y, a, b: like(d * b, a), lambda d, y, a, b: like(d * a, b))
rule(np.true_divide, lambda d, y, a, b: like(d / b, a), lambda d, y, a, b: like(-d * y / b, b))
rule(np.remainder, lambda d, y, a, b: like(d, a), lambda d, y, a, b: like(-d * np.floor(a / b), b))
rule(np.fmod, lambda d, y, a, b: like(d, a), lambda d, y, a, b: like(-d * np.trunc(a / b), b))
rule(np.hypot, lambda d, y, a, b: like(d * (a / y), a), lambda d, y, a, b: like(d * (b / y), b))
rule(
    np.arctan2,
    lambda d, y, a, b: like(d * b / (a * a + b * b), a),
    lambda d, y, a, b: like(-d * a / (a * a + b * b), b),
)
rule(
    np.logaddexp,
    lambda d, y, a, b: like(d * np.exp(a - y), a),
    lambda d, y, a, b: like(d * np.exp(b - y), b),
)
rule(
    np.copysign,
    lambda d, y, a, b: like(d * np.where(y == a, 1, -1).astype(d.dtype), a),
    lambda d, y, a, b: like(0 * d, b),
)
# Of equal operands, the first has the gradient, as in TensorFlow.
for _maximum in (np.maximum, np.fmax):
    rule(_maximum, lambda d, y, a, b: like(d * (a >= b), a), lambda d, y, a, b: like(d * (a < b), b))
for _minimum in (np.minimum, np.fmin):
    rule(_minimum, lambda d, y, a, b: like(d * (a <= b), a), lambda d, y, a, b: like(d * (a > b), b))


def _base(d: Any, y: Any, base: Any, exponent: Any) -> Any:
    less = np.where(exponent == 0, 1, exponent - 1) if np.ndim(exponent) else exponent - 1 if exponent else 1
    less = less.astype(y.dtype) if isinstance(less, np.ndarray | np.generic) else less
    return like(d * (exponent * np.power(base, less)), base)


def _exponent(d: Any, y: Any, base: Any, exponent: Any) -> Any:
    """0 where the base is not positive, as in TensorFlow."""
    logarithm = np.log(np.where(base > 0, base, 1).astype(y.dtype))
    return like(d * (y * logarithm), exponent)


for _power in (np.power, np.float_power):
    rule(_power, _base, _exponent)


@composite(np.clip)
def _clip(a: Any, a_min: Any = None, a_max: Any = None, **kwargs: Any) -> Any:
    low, high = kwargs.get("min", a_min), kwargs.get("max", a_max)
    a = a if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


@composite(np.nan_to_num)
def _nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    numbers = np.nan_to_num(np.asarray(x), True, nan, posinf, neginf)
    return np.where(np.isfinite(x), x, numbers)


plain_result(
    [
        *(
            np.sign,
            np.floor,
            np.ceil,
            np.rint,
            np.trunc,
            np.fix,
            np.round,
            np.around,
            np.floor_divide,
            np.spacing,
        ),
        *(
            np.equal,
            np.not_equal,
            np.less,
            np.less_equal,
            np.greater,
            np.greater_equal,
            np.isclose,
            np.allclose,
        ),
        *(np.logical_and, np.logical_or, np.logical_not, np.logical_xor, np.isnan, np.isfinite, np.isinf),
        *(np.signbit, np.array_equal, np.array_equiv, np.isneginf, np.isposinf, np.heaviside, np.isin),
    ]
)
