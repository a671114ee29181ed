"""`distrib.keras.ops`: operations with Keras' names, on arrays, of which they make tensors. Tapes record them.

Those that NumPy has under the same name take NumPy's arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.autodiff.custom import custom_gradient, stop_gradient  # noqa: F401
from distrib.autodiff.tensor import as_tensor
from distrib.base.arguments import checked
from distrib.base.missing import refuser
from distrib.tf.arrays import cast, convert_to_tensor, ones, ones_like, zeros, zeros_like  # noqa: F401
from distrib.tf.elementwise import tensor_of
from distrib.tf.nn import (  # noqa: F401
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    relu6,
    selu,
    sigmoid,
    sigmoid_cross_entropy_with_logits,
    silu,
    softmax,
    softplus,
    softsign,
    swish,
    top_k,
)
from distrib.tf.reductions import reduce_logsumexp

_OF_NUMPY = """
abs absolute add all any arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin argsort
average ceil clip copy cos cosh cumprod cumsum diagonal diff divide dot equal exp expand_dims expm1 flip
floor floor_divide full_like greater greater_equal isfinite isinf isnan less less_equal log log10 log1p
log2 logaddexp logical_and logical_not logical_or matmul max maximum mean median min minimum mod moveaxis
multiply negative not_equal outer pad power prod ravel reciprocal repeat reshape roll round sign sin sinh
sort sqrt square squeeze std subtract sum swapaxes take take_along_axis tan tanh tensordot tile trace
transpose tril triu true_divide var where
""".split()  # noqa: SIM905
_OF_SEQUENCES = ("concatenate", "hstack", "stack", "vstack")


def _operation(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function of tensors; its first argument may be Python's numbers."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else None
        if isinstance(first, int | float | list) and not isinstance(first, bool):
            args = (tensor_of(first), *args[1:])
        return _as_tensors(function(*args, **kwargs))

    call.__doc__ = f"See `numpy.{function.__name__}`."
    return call


def _as_tensors(value: Any) -> Any:
    return as_tensor(value) if isinstance(value, np.ndarray | np.generic) else value


globals().update({name: _operation(getattr(np, name)) for name in (*_OF_NUMPY, *_OF_SEQUENCES)})


@checked
def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    """Numbers from `start`, or 0, to before `stop`; see `numpy.arange`."""
    begin, end = (0, start) if stop is None else (start, stop)
    return as_tensor(np.arange(begin, end, step, dtype=dtype))


def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Any:
    """Products and sums as an equation says, such as `"ij,jk->ik"`."""
    return as_tensor(np.einsum(subscripts, *map(tensor_of, operands)))


@checked
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Parts of an array; see `numpy.split`."""
    return [as_tensor(each) for each in np.split(tensor_of(x), indices_or_sections, axis)]


@checked
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """`log(sum(exp(x)))` along axes, without overflow."""
    return reduce_logsumexp(x, axis, keepdims)


@checked
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """See `numpy.linalg.norm`."""
    return as_tensor(np.linalg.norm(tensor_of(x), ord, axis, keepdims))


@checked
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Any:
    """Vectors that are 1 at the index and 0 elsewhere."""
    hits = np.asarray(tensor_of(x))[..., None] == np.arange(num_classes)
    return as_tensor(np.moveaxis(hits.astype(dtype or np.float32), -1, axis))


@checked
def shape(x: Any) -> tuple[int, ...]:
    """The shape."""
    return tuple(np.shape(x))


@checked
def size(x: Any) -> int:
    """Number of elements."""
    return int(np.size(x))


@checked
def ndim(x: Any) -> int:
    """Number of axes."""
    return int(np.ndim(x))


@checked
def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = "float32") -> Any:  # noqa: N803
    """The unit matrix."""
    return as_tensor(np.eye(N, M, k, dtype))


@checked
def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """One value everywhere."""
    return as_tensor(np.full(shape, fill_value, dtype))


@checked
def rsqrt(x: Any) -> Any:
    """`1 / sqrt(x)`."""
    return as_tensor(1 / np.sqrt(tensor_of(x)))


@checked
def convert_to_numpy(x: Any) -> Any:
    """The plain array."""
    return np.array(x)


@checked
def is_tensor(x: Any) -> bool:
    """Whether it is a tensor."""
    return isinstance(x, np.ndarray)


@checked
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """`-(y log p + (1 - y) log(1 - p))` of each element."""
    if from_logits:
        return sigmoid_cross_entropy_with_logits(target, output)
    y, p = tensor_of(target), np.clip(tensor_of(output), 1e-7, 1 - 1e-7)
    return as_tensor(-(y * np.log(p) + (1 - y) * np.log(1 - p)))


@checked
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """`-sum(y log p)` along an axis."""
    if from_logits:
        return as_tensor(-np.sum(tensor_of(target) * log_softmax(output, axis), axis=axis))
    p = tensor_of(output)
    p = np.clip(p / np.sum(p, axis=axis, keepdims=True), 1e-7, 1 - 1e-7)
    return as_tensor(-np.sum(tensor_of(target) * np.log(p), axis=axis))


__all__ = [
    *(*_OF_NUMPY, *_OF_SEQUENCES, "arange", "binary_crossentropy", "cast", "categorical_crossentropy"),
    *("convert_to_numpy", "convert_to_tensor", "custom_gradient", "einsum", "elu", "eye", "full", "gelu"),
    *(
        "is_tensor",
        "leaky_relu",
        "log_softmax",
        "logsumexp",
        "ndim",
        "norm",
        "one_hot",
        "ones",
        "ones_like",
        "relu",
    ),
    *(
        "relu6",
        "rsqrt",
        "selu",
        "shape",
        "sigmoid",
        "silu",
        "size",
        "softmax",
        "softplus",
        "softsign",
        "split",
    ),
    *("stop_gradient", "swish", "top_k", "zeros", "zeros_like"),
]

__getattr__ = refuser(
    __name__,
    dict.fromkeys(
        ["conv", "max_pool", "average_pool", "scan", "while_loop", "cond", "vmap", "fft2", "image"],
        "it is not supported.",
    ),
    __all__,
)


def __dir__() -> list[str]:
    return __all__
