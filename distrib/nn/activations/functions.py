"""The activation functions as functions of arrays: `activations.relu(x)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from distrib.autodiff.whole import recorded
from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.nn.activations.activation import Activation, Linear
from distrib.nn.activations.rectifiers import (
    Celu,
    Elu,
    HardShrink,
    LeakyRelu,
    Relu,
    Relu6,
    Selu,
    SoftShrink,
    Threshold,
)
from distrib.nn.activations.sigmoids import (
    HardSigmoid,
    HardTanh,
    Sigmoid,
    Softsign,
    SparseSigmoid,
    Tanh,
    TanhShrink,
)
from distrib.nn.activations.smooth import (
    Exponential,
    Gelu,
    HardSilu,
    LogSigmoid,
    Mish,
    Silu,
    Softplus,
    SparsePlus,
    Squareplus,
)
from distrib.nn.activations.softmax import LogSoftmax, Softmax, Sparsemax
from distrib.nn.forms import activation_form


def _form(activation: Activation, axis: int) -> Callable[[Any], Any] | None:
    """The activation along an axis, as a tape records it; see `nn/forms.py`."""
    form = activation_form(activation)
    if form is None or axis == -1:
        return form
    return lambda x: np.moveaxis(form(np.moveaxis(x, axis, -1)), -1, axis)


def _applied(activation: Activation, x: ArrayLike, axis: int = -1) -> Array:
    """f(x) in new memory: `(..., )` of floats, Python's as float32; rows lie along `axis`."""
    given = np.asarray(x)
    if given.dtype.kind != "f" or not hasattr(x, "dtype"):
        given = given.astype(np.float32)

    def rows_of(values: Array) -> Array:
        return np.array(np.moveaxis(np.atleast_1d(values), axis, -1), order="C")

    def back(rows: Array) -> Array:
        return np.moveaxis(rows, -1, axis).reshape(given.shape)

    array = rows_of(given)
    y = np.empty_like(array)
    activation.forward(array, y)

    def pullback(d_y: Array) -> list[Array]:
        d_x = rows_of(np.asarray(d_y))
        activation.backward(d_x, array, y)
        return [back(d_x)]

    result: Array = recorded(type(activation).__name__, back(y), [x], pullback, form=_form(activation, axis))
    return result


@checked
def celu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """See `Celu`; a new array of the shape of `x`."""
    return _applied(Celu(alpha), x)


@checked
def elu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """See `Elu`; a new array of the shape of `x`."""
    return _applied(Elu(alpha), x)


@checked
def exponential(x: ArrayLike) -> Array:
    """See `Exponential`; a new array of the shape of `x`."""
    return _applied(Exponential(), x)


@checked
def gelu(x: ArrayLike, approximate: bool = False) -> Array:
    """See `Gelu`; a new array of the shape of `x`."""
    return _applied(Gelu(approximate), x)


@checked
def hard_shrink(x: ArrayLike, threshold: float = 0.5) -> Array:
    """See `HardShrink`; a new array of the shape of `x`."""
    return _applied(HardShrink(threshold), x)


@checked
def hard_sigmoid(x: ArrayLike) -> Array:
    """See `HardSigmoid`; a new array of the shape of `x`."""
    return _applied(HardSigmoid(), x)


@checked
def hard_silu(x: ArrayLike) -> Array:
    """See `HardSilu`; a new array of the shape of `x`."""
    return _applied(HardSilu(), x)


@checked
def hard_swish(x: ArrayLike) -> Array:
    """See `HardSilu`; a new array of the shape of `x`."""
    return _applied(HardSilu(), x)


@checked
def hard_tanh(x: ArrayLike) -> Array:
    """See `HardTanh`; a new array of the shape of `x`."""
    return _applied(HardTanh(), x)


@checked
def leaky_relu(x: ArrayLike, negative_slope: float = 0.2) -> Array:
    """See `LeakyRelu`; a new array of the shape of `x`."""
    return _applied(LeakyRelu(negative_slope), x)


@checked
def linear(x: ArrayLike) -> Array:
    """See `Linear`; a new array of the shape of `x`."""
    return _applied(Linear(), x)


@checked
def log_sigmoid(x: ArrayLike) -> Array:
    """See `LogSigmoid`; a new array of the shape of `x`."""
    return _applied(LogSigmoid(), x)


@checked
def log_softmax(x: ArrayLike, axis: int = -1) -> Array:
    """See `LogSoftmax`; a new array of the shape of `x`."""
    return _applied(LogSoftmax(), x, axis)


@checked
def mish(x: ArrayLike) -> Array:
    """See `Mish`; a new array of the shape of `x`."""
    return _applied(Mish(), x)


@checked
def relu(
    x: ArrayLike, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Array:
    """See `Relu`; a new array of the shape of `x`."""
    return _applied(Relu(negative_slope, max_value, threshold), x)


@checked
def relu6(x: ArrayLike) -> Array:
    """See `Relu6`; a new array of the shape of `x`."""
    return _applied(Relu6(), x)


@checked
def selu(x: ArrayLike) -> Array:
    """See `Selu`; a new array of the shape of `x`."""
    return _applied(Selu(), x)


@checked
def sigmoid(x: ArrayLike) -> Array:
    """See `Sigmoid`; a new array of the shape of `x`."""
    return _applied(Sigmoid(), x)


@checked
def silu(x: ArrayLike) -> Array:
    """See `Silu`; a new array of the shape of `x`."""
    return _applied(Silu(), x)


@checked
def soft_shrink(x: ArrayLike, threshold: float = 0.5) -> Array:
    """See `SoftShrink`; a new array of the shape of `x`."""
    return _applied(SoftShrink(threshold), x)


@checked
def softmax(x: ArrayLike, axis: int = -1) -> Array:
    """See `Softmax`; a new array of the shape of `x`."""
    return _applied(Softmax(), x, axis)


@checked
def softplus(x: ArrayLike) -> Array:
    """See `Softplus`; a new array of the shape of `x`."""
    return _applied(Softplus(), x)


@checked
def softsign(x: ArrayLike) -> Array:
    """See `Softsign`; a new array of the shape of `x`."""
    return _applied(Softsign(), x)


@checked
def sparse_plus(x: ArrayLike) -> Array:
    """See `SparsePlus`; a new array of the shape of `x`."""
    return _applied(SparsePlus(), x)


@checked
def sparse_sigmoid(x: ArrayLike) -> Array:
    """See `SparseSigmoid`; a new array of the shape of `x`."""
    return _applied(SparseSigmoid(), x)


@checked
def sparsemax(x: ArrayLike, axis: int = -1) -> Array:
    """See `Sparsemax`; a new array of the shape of `x`."""
    return _applied(Sparsemax(), x, axis)


@checked
def squareplus(x: ArrayLike, b: float = 4) -> Array:
    """See `Squareplus`; a new array of the shape of `x`."""
    return _applied(Squareplus(b), x)


@checked
def swish(x: ArrayLike) -> Array:
    """See `Silu`; a new array of the shape of `x`."""
    return _applied(Silu(), x)


@checked
def tanh(x: ArrayLike) -> Array:
    """See `Tanh`; a new array of the shape of `x`."""
    return _applied(Tanh(), x)


@checked
def tanh_shrink(x: ArrayLike) -> Array:
    """See `TanhShrink`; a new array of the shape of `x`."""
    return _applied(TanhShrink(), x)


@checked
def threshold(x: ArrayLike, threshold: float, default_value: float) -> Array:
    """See `Threshold`; a new array of the shape of `x`."""
    return _applied(Threshold(threshold, default_value), x)


CLASSES: dict[Callable[..., Any], type[Activation]] = {
    celu: Celu,
    elu: Elu,
    exponential: Exponential,
    gelu: Gelu,
    hard_shrink: HardShrink,
    hard_sigmoid: HardSigmoid,
    hard_silu: HardSilu,
    hard_swish: HardSilu,
    hard_tanh: HardTanh,
    leaky_relu: LeakyRelu,
    linear: Linear,
    log_sigmoid: LogSigmoid,
    log_softmax: LogSoftmax,
    mish: Mish,
    relu: Relu,
    relu6: Relu6,
    selu: Selu,
    sigmoid: Sigmoid,
    silu: Silu,
    soft_shrink: SoftShrink,
    softmax: Softmax,
    softplus: Softplus,
    softsign: Softsign,
    sparse_plus: SparsePlus,
    sparse_sigmoid: SparseSigmoid,
    sparsemax: Sparsemax,
    squareplus: Squareplus,
    swish: Silu,
    tanh: Tanh,
    tanh_shrink: TanhShrink,
    threshold: Threshold,
}
"""Which class a layer takes for which function."""
