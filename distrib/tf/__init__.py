"""`distrib.tf`: distrib's own objects, where scripts for TensorFlow look for them, and operations on arrays.

import distrib.tf as tf
from distrib.tf.keras import layers
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from distrib import keras
from distrib.autodiff.custom import custom_gradient, stop_gradient
from distrib.autodiff.tape import GradientTape
from distrib.autodiff.tensor import Tensor, as_tensor
from distrib.base.arguments import checked
from distrib.base.arrays import Array, Shape
from distrib.base.console import show
from distrib.base.missing import refuser
from distrib.data.pipeline.spec import Spec as TensorSpec
from distrib.nn.variable import Variable
from distrib.nn.variable import constant as _constant
from distrib.tf import config, data, distribute, linalg, math, nn, random, train
from distrib.tf.arrays import *  # noqa: F403
from distrib.tf.arrays import __all__ as _arrays
from distrib.tf.dtypes import *  # noqa: F403
from distrib.tf.dtypes import __all__ as _dtypes
from distrib.tf.linalg import einsum, tensordot
from distrib.tf.math import *  # noqa: F403
from distrib.tf.math import __all__ as _math
from distrib.tf.module import Module
from distrib.tf.nn import sigmoid

# `import distrib.tf.keras.layers`: the same modules under TensorFlow's name.
for _name in ("ops", "random"):
    importlib.import_module(f"distrib.keras.{_name}")
for _name, _module in list(sys.modules.items()):
    if _name == "distrib.keras" or _name.startswith("distrib.keras."):
        sys.modules[f"distrib.tf{_name.removeprefix('distrib')}"] = _module

__version__ = "2.20.0"
"""The version of TensorFlow whose names these are."""

newaxis = None


@checked
def constant(value: Any, dtype: Any = None, shape: Shape | None = None, name: str | None = None) -> Array:
    """A read-only tensor; see `distrib.constant`."""
    return as_tensor(_constant(value, dtype, shape))


@checked
def is_tensor(x: Any) -> bool:
    """Whether it is a tensor or a variable."""
    return isinstance(x, Tensor | Variable)


def function(func: Callable[..., Any] | None = None, **kwargs: Any) -> Any:
    """The function as it is: every operation runs at once. For use as a decorator, with or without arguments."""
    return (lambda each: each) if func is None else func


def executing_eagerly() -> bool:
    """True: every operation runs at once."""
    return True


@contextlib.contextmanager
def device(device_name: str | None) -> Iterator[None]:
    """Has no effect: there is the CPU only."""
    yield


def print(*inputs: Any, **kwargs: Any) -> None:
    """Print values on one line. `kwargs` are accepted for TensorFlow's sake."""
    show(" ".join(str(each) for each in inputs))


__all__ = [
    "GradientTape",
    "Module",
    "Tensor",
    "TensorSpec",
    "Variable",
    "config",
    "constant",
    "custom_gradient",
    "data",
    "device",
    "distribute",
    "einsum",
    "executing_eagerly",
    "function",
    "is_tensor",
    "keras",
    "linalg",
    "math",
    "newaxis",
    "nn",
    "print",
    "random",
    "sigmoid",
    "stop_gradient",
    "tensordot",
    "train",
    *_arrays,
    *_dtypes,
    *_math,
]

_refuse = refuser(
    __name__,
    {
        "io": "TFRecord files are not read. Convert them to .npy files once.",
        "image": "pictures are not decoded. Read them with Pillow into an array.",
        "string": "there are no tensors of text. Encode text as numbers before.",
        "strings": "there are no tensors of text. Encode text as numbers before.",
        "saved_model": "use model.save and distrib.load_model.",
        "lite": "models are not exported yet.",
        "estimator": "use models: Sequential or Model(inputs, outputs).",
        "feature_column": "make arrays of the columns.",
        "summary": "use the callback TensorBoard.",
        "bfloat16": "models compute in float32 or float64.",
        "RaggedTensor": "arrays have one shape. Pad the rows.",
    },
    __all__,
)


def __getattr__(name: str) -> object:
    """`compat`, which most scripts do not need."""
    if name == "compat":
        importlib.import_module("distrib.tf.compat.v1")
        return sys.modules["distrib.tf.compat"]
    return _refuse(name)
