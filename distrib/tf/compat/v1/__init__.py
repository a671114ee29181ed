"""`distrib.tf.compat.v1`: the oldest form of TensorFlow's scripts, a graph that a session runs.

    import distrib.tf.compat.v1 as tf

    x = tf.placeholder(tf.float32, [None, 784])
    W = tf.Variable(tf.zeros([784, 10]))
    logits = tf.matmul(x, W)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        sess.run(logits, feed_dict={x: images})

Operations are those of `distrib.tf`, and so are their gradients.
"""

# ruff: noqa: F401, N813

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from distrib import tf as _tf
from distrib.base.missing import refuser
from distrib.nn.initializers import Constant as constant_initializer
from distrib.nn.initializers import Ones as ones_initializer
from distrib.nn.initializers import RandomNormal as random_normal_initializer
from distrib.nn.initializers import RandomUniform as random_uniform_initializer
from distrib.nn.initializers import TruncatedNormal as truncated_normal_initializer
from distrib.nn.initializers import Zeros as zeros_initializer
from distrib.tf.compat.v1 import train
from distrib.tf.compat.v1.graph import Node, Placeholder, default_sessions
from distrib.tf.compat.v1.session import ConfigProto, GPUOptions, InteractiveSession, Session
from distrib.tf.compat.v1.train import gradients
from distrib.tf.compat.v1.variables import (
    Variable,
    forget_variables,
    get_variable,
    global_variables,
    global_variables_initializer,
    trainable_variables,
    variable_scope,
    variables_initializer,
)
from distrib.tf.dtypes import *  # noqa: F403
from distrib.tf.dtypes import __all__ as _dtypes
from distrib.training.seeds import set_random_seed

AUTO_REUSE = True
Tensor = Node


def _lazy(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operation that makes a node."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Node:
        kwargs.pop("name", None)
        for former, name in (("reduction_indices", "axis"), ("keep_dims", "keepdims"), ("dimension", "axis")):
            if former in kwargs:
                kwargs[name] = kwargs.pop(former)
        return Node(function, args, kwargs)

    return call


_OPERATIONS = {
    name: _lazy(getattr(_tf, name))
    for name in (
        *_tf.math.__all__,
        *(
            "cast",
            "concat",
            "constant",
            "einsum",
            "expand_dims",
            "eye",
            "fill",
            "gather",
            "identity",
            "linspace",
        ),
        *("one_hot", "ones", "ones_like", "pad", "range", "reshape", "sigmoid", "split", "squeeze", "stack"),
        *("stop_gradient", "tensordot", "tile", "transpose", "where", "zeros", "zeros_like", "shape", "size"),
    )
}
globals().update(_OPERATIONS)
math = SimpleNamespace(**{name: _OPERATIONS[name] for name in _tf.math.__all__})


def _dropout(x: Any, keep_prob: Any = None, rate: Any = None) -> Any:
    """Elements that are kept with a probability, and scaled up; the others 0."""
    kept = 1 - rate if keep_prob is None else keep_prob
    mask = np.asarray(_tf.random.uniform(np.shape(x))) < np.asarray(kept)
    return x * (mask / np.asarray(kept)).astype(np.asarray(x).dtype)


def _cross_entropy(labels: Any = None, logits: Any = None, dim: int = -1) -> Any:
    """See `distrib.tf.nn.softmax_cross_entropy_with_logits`."""
    return _tf.nn.softmax_cross_entropy_with_logits(_tf.stop_gradient(labels), logits, dim)


def _truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32", seed: Any = None
) -> Any:
    """Normal numbers, those again that are farther than two standard deviations from the mean."""
    drawn = np.asarray(_tf.random.normal(shape, 0.0, 1.0, "float64", seed))
    while (outside := np.abs(drawn) > 2).any():
        drawn = np.where(outside, np.asarray(_tf.random.normal(shape, 0.0, 1.0, "float64")), drawn)
    return (mean + stddev * drawn).astype(dtype)


nn = SimpleNamespace(
    **{name: _lazy(getattr(_tf.nn, name)) for name in _tf.nn.__all__},
)
nn.dropout = _lazy(_dropout)
nn.softmax_cross_entropy_with_logits = nn.softmax_cross_entropy_with_logits_v2 = _lazy(_cross_entropy)
random_normal = _lazy(_tf.random.normal)
random_uniform = _lazy(_tf.random.uniform)
truncated_normal = _lazy(_truncated_normal)
random = SimpleNamespace(
    normal=random_normal,
    uniform=random_uniform,
    truncated_normal=truncated_normal,
    set_random_seed=set_random_seed,
)
initializers = SimpleNamespace(
    global_variables=global_variables_initializer, constant=constant_initializer, zeros=zeros_initializer
)


def placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> Placeholder:
    """A value that is fed, of a shape in which None is any size."""
    return Placeholder(dtype, shape, name)


def assign(ref: Variable, value: Any, **kwargs: Any) -> Node:
    """The operation that overwrites a variable."""
    return ref.assign(value)


def assign_add(ref: Variable, value: Any, **kwargs: Any) -> Node:
    """The operation that adds to a variable."""
    return ref.assign_add(value)


def group(*inputs: Any, **kwargs: Any) -> Node:
    """The operation that runs others."""
    return Node(lambda *values: None, inputs, name="group")


def initialize_all_variables() -> Node:
    """See `global_variables_initializer`."""
    return global_variables_initializer()


def local_variables_initializer() -> Node:
    """An operation without effect: there are no local variables."""
    return Node(lambda: None, name="init")


def reset_default_graph() -> None:
    """Forget all variables."""
    forget_variables()


def get_default_session() -> Session | None:
    """The session whose `with` statement is open."""
    return default_sessions()[-1] if default_sessions() else None


def disable_v2_behavior() -> None:
    """Without effect: this module is the old behaviour."""


def disable_eager_execution() -> None:
    """Without effect, likewise."""


@contextlib.contextmanager
def device(device_name_or_function: Any) -> Iterator[None]:
    """Without effect: there is the CPU only."""
    yield


@contextlib.contextmanager
def name_scope(name: Any, *args: Any, **kwargs: Any) -> Iterator[str]:
    """Without effect on values."""
    yield str(name)


__all__ = [
    *(
        "AUTO_REUSE",
        "ConfigProto",
        "GPUOptions",
        "InteractiveSession",
        "Session",
        "Tensor",
        "Variable",
        "assign",
    ),
    *("assign_add", "constant_initializer", "device", "disable_eager_execution", "disable_v2_behavior"),
    *(
        "get_default_session",
        "get_variable",
        "global_variables",
        "global_variables_initializer",
        "gradients",
        "group",
    ),
    *("initialize_all_variables", "initializers", "local_variables_initializer", "math", "name_scope", "nn"),
    *(
        "ones_initializer",
        "placeholder",
        "random",
        "random_normal",
        "random_normal_initializer",
        "random_uniform",
    ),
    *("random_uniform_initializer", "reset_default_graph", "set_random_seed", "train", "trainable_variables"),
    *("truncated_normal", "truncated_normal_initializer", "variable_scope", "variables_initializer"),
    *("zeros_initializer", *_OPERATIONS, *_dtypes),
]

__getattr__ = refuser(
    __name__,
    {
        "layers": "make the variables with get_variable; or use keras.layers in today's form.",
        "estimator": "use models: Sequential or Model(inputs, outputs).",
        "data": "feed arrays.",
        "summary": "use the callback TensorBoard in today's form.",
        "Graph": "there is one graph. Use reset_default_graph().",
        "app": "call main().",
        "flags": "use argparse.",
        "while_loop": "write a Python loop in today's form.",
        "cond": "use where, or Python's if in today's form.",
    },
    __all__,
)


def __dir__() -> list[str]:
    return __all__
