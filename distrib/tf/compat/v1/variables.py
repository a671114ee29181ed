"""Variables of TensorFlow 1: nodes that read a variable, and operations that change it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from distrib import nn
from distrib.base.errors import ConfigError
from distrib.nn import initializers
from distrib.nn.layers.shapes import unique_name
from distrib.nn.variable import Variable as EagerVariable
from distrib.nn.variable import constant
from distrib.tf.compat.v1.graph import Node, evaluate
from distrib.training.seeds import seed_of_next_array


class _Graph(threading.local):
    """The variables of this thread, and the scopes that are open: replicas may be threads."""

    def __init__(self) -> None:
        self.variables: dict[str, Variable] = {}
        self.scopes: list[str] = []
        self.reuse = [False]


_graph = _Graph()


class Variable(Node):
    """A variable, which an initializer gives its value.

    Args:
        initial_value: number, array or node.
        trainable: whether optimizers update it.
        collections: accepted for TensorFlow's sake.
        validate_shape: likewise.
        caching_device: likewise.
        name: of it.
        variable_def: likewise.
        dtype: of it.
        kwargs: likewise.

    Attributes:
        eager: what holds the value.
        is_initialized: whether a session has run its initializer.
    """

    def __init__(
        self,
        initial_value: Any = None,
        trainable: bool = True,
        collections: Any = None,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(self._read, name=name or "Variable")
        self.name = unique_name("/".join([*_graph.scopes, name or "Variable"]), _graph.variables)
        self._initial = initial_value if isinstance(initial_value, Node) else None
        value = evaluate([initial_value], {})[0] if isinstance(initial_value, Node) else initial_value
        self.eager = EagerVariable(
            constant(np.asarray(value) if hasattr(value, "dtype") else value, dtype), trainable, self.name
        )
        self._value = self.eager.numpy()
        self.is_initialized = False
        _graph.variables[self.name] = self

    def _read(self) -> Any:
        if not self.is_initialized:
            raise ConfigError(
                f"Variable '{self.name}' is not initialized. Run global_variables_initializer() in the session first."
            )
        return self.eager.read()

    @property
    def shape(self) -> Any:
        return self.eager.shape

    @property
    def dtype(self) -> Any:
        """Dtype of the value."""
        return self.eager.dtype

    @property
    def initializer(self) -> Node:
        """The operation that gives it its initial value."""
        return Node(self.initialize, name="initializer")

    def initialize(self) -> None:
        """Give it its initial value."""
        self.eager.assign(self._value)
        self.is_initialized = True

    def assign(self, value: Any) -> Node:
        """The operation that overwrites it."""
        return Node(lambda new: self._assigned(np.asarray(new)), (value,), name="assign")

    def assign_add(self, delta: Any) -> Node:
        """The operation that adds to it."""
        return Node(
            lambda new: self._assigned(self.eager.value + np.asarray(new)), (delta,), name="assign_add"
        )

    def assign_sub(self, delta: Any) -> Node:
        """The operation that subtracts from it."""
        return Node(
            lambda new: self._assigned(self.eager.value - np.asarray(new)), (delta,), name="assign_sub"
        )

    def _assigned(self, value: Any) -> Any:
        self.eager.assign(value)
        self.is_initialized = True
        return self.eager.read_value()

    def value(self) -> Node:
        """The value, as a node."""
        return Node(lambda value: value, (self,), name="value")

    read_value = initialized_value = value

    def load(self, value: Any, session: Any = None) -> None:
        """Overwrite it at once."""
        self._assigned(np.asarray(value))


def get_variable(
    name: str,
    shape: Any = None,
    dtype: Any = "float32",
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = True,
    **kwargs: Any,
) -> Variable:
    """A new variable; or that of this name, in a scope that reuses them.

    Args:
        name: of it, within the scope.
        shape: of it.
        dtype: of it.
        initializer: name, instance, array or node; `"glorot_uniform"` by default.
        regularizer: not supported.
        trainable: whether optimizers update it.
        kwargs: accepted for TensorFlow's sake.

    Raises:
        ConfigError: there is one of this name.
    """
    full = "/".join([*_graph.scopes, name])
    if full in _graph.variables:
        if _graph.reuse[-1]:
            return _graph.variables[full]
        raise ConfigError(
            f"Variable '{full}' exists. Use variable_scope(..., reuse=True), or reset_default_graph()."
        )
    if regularizer is not None:
        raise ConfigError("get_variable does not support regularizer. Add the penalty to the loss.")
    if isinstance(initializer, Node | np.ndarray | int | float):
        return Variable(initializer, trainable, name=name, dtype=dtype)
    made = initializers.get("glorot_uniform" if initializer is None else initializer)
    sizes = tuple(np.atleast_1d(() if shape is None else shape).tolist())
    seed = nn.rng.stream_key("variables", *seed_of_next_array()) >> 65
    value = made(sizes, np.dtype(dtype), seed=seed, name=full)
    return Variable(np.asarray(value), trainable, name=name, dtype=dtype)


@contextmanager
def variable_scope(
    name_or_scope: Any, default_name: str | None = None, reuse: Any = None, **kwargs: Any
) -> Iterator[str]:
    """Variables that are made inside have names that begin with the scope's."""
    _graph.scopes.append(str(name_or_scope or default_name))
    _graph.reuse.append(bool(reuse) or _graph.reuse[-1])
    try:
        yield _graph.scopes[-1]
    finally:
        _graph.scopes.pop()
        _graph.reuse.pop()


def global_variables(scope: str | None = None) -> list[Variable]:
    """All variables; those of a scope."""
    return [each for name, each in _graph.variables.items() if scope is None or name.startswith(scope)]


def trainable_variables(scope: str | None = None) -> list[Variable]:
    """The variables that optimizers update."""
    return [each for each in global_variables(scope) if each.eager.trainable]


def variables_initializer(var_list: Sequence[Variable], name: str = "init") -> Node:
    """The operation that gives variables their initial values."""
    chosen = list(var_list)
    return Node(lambda: _initialize(chosen), name=name)


def global_variables_initializer() -> Node:
    """The operation that gives all variables their initial values, those that optimizers have made, too."""
    return Node(lambda: _initialize(global_variables()), name="init")


def _initialize(variables: Sequence[Variable]) -> None:
    for each in variables:
        each.initialize()


def forget_variables() -> None:
    """Begin a new graph."""
    _graph.variables.clear()
