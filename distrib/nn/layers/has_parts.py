"""HasParts: the variables and layers that a layer has in its attributes, and what they add to the loss."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from distrib.autodiff.whole import recorded
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.nn.layers.has_nodes import HasNodes
from distrib.nn.layers.parts import Parts, may_be_tracked
from distrib.nn.regularizers import L1L2, Regularizer
from distrib.nn.variable import Variable


class HasParts(HasNodes):
    """Variables of its own, and layers with variables of theirs.

    Attributes:
        parts: both.
    """

    parts: Parts
    has_call: ClassVar[bool] = False
    """Whether a subclass says what it computes in `call`. Then its attributes are looked at."""

    _call_losses: Sequence[Any] = ()
    _name_in_owner: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.has_call = not getattr(cls.call, "is_open", False)
        if cls.has_call and "build" in vars(cls):
            cls.build = _marked_as_built(cls.build)  # type: ignore[attr-defined]
        if cls.has_call and cls.__setattr__ is HasNodes.__setattr__:
            cls.__setattr__ = _set_and_find  # type: ignore[method-assign]  # costs what layers in a step must not

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """See `HasCall.call`."""
        raise NotImplementedError

    call.is_open = True  # type: ignore[attr-defined]

    @property
    def prefix(self) -> str:
        """What the names of its variables begin with in a network."""
        return f"{self.name}/"

    @property
    def sublayers(self) -> Mapping[str, Any]:
        """The layers in its attributes, by their names in it."""
        self.parts.refresh()
        return self.parts.layers

    def paths(self) -> Iterator[tuple[str, Variable]]:
        """All variables by their paths in the layer: `kernel`, `dense/kernel`."""
        return self.parts.paths()

    def states(self) -> Iterator[tuple[Variable, Array]]:
        """The variables that are not trained, in a layer of a user's own, and their first values."""
        return self.parts.states()

    @property
    def variables(self) -> list[Variable]:
        """All variables, in Keras' order. Empty until built."""
        return [variable for _, variable in self.parts.paths()]

    @variables.setter
    def variables(self, variables: list[Variable]) -> None:
        self.parts.variables = list(variables)

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that an optimizer may update; none where the layer is frozen."""
        if not self.trainable:
            return []
        if not self.parts.layers:
            return [each for each in self.variables if each.trainable]
        learning = {id(each) for each in self.parts.variables if each.trainable}
        for layer in self.sublayers.values():
            learning |= {id(each) for each in layer.trainable_variables}
        return [each for each in self.variables if id(each) in learning]

    @property
    def losses(self) -> list[Any]:
        """What the last call has added to the loss, and the penalties of variables that are trained, as tensors."""
        return [
            *self._call_losses,
            *(penalty_of(each) for each in self.trainable_variables if each.regularizer is not None),
        ]

    def take_own_gradients(self) -> dict[int, Variable]:
        """Go on with variables of the same values and gradients of their own; returns them by the former `id`."""
        own = {id(each): each.shadow() for each in self.parts.variables}
        for name, value in vars(self).items():
            if id(value) in own:
                self.__dict__[name] = own[id(value)]
        self.parts = Parts()
        self.parts.variables = list(own.values())
        return own

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        for name, value in self.__dict__.items():
            made.__dict__[name] = [] if name == "nodes" else copy.deepcopy(value, memo)
        return made


def _marked_as_built(build: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """`build` of a subclass, after which the layer is built, whoever calls it."""

    @functools.wraps(build)
    def call(self: Any, input_shape: Any) -> None:
        build(self, input_shape)
        self.built = True

    return call


def _set_and_find(self: Any, name: str, value: object) -> None:
    """Set an attribute, and take the variables and layers that it has."""
    HasNodes.__setattr__(self, name, value)
    if name not in ("nodes", "parts") and may_be_tracked(value):
        if "parts" not in self.__dict__:
            raise ConfigError(
                f"{type(self).__name__}.__init__ begins with super().__init__(). Received: {name} set before."
            )
        self.parts.find(value)


def penalty_of(variable: Variable) -> Any:
    """The penalty of a variable's regularizer, as a tensor."""
    regularizer = variable.regularizer
    assert isinstance(regularizer, Regularizer)
    values = variable.value.reshape(-1)

    def pullback(d: Array) -> list[Array]:
        gradient = np.zeros_like(values)
        regularizer.add_gradient(values, gradient, float(d))
        return [gradient.reshape(variable.shape)]

    penalty = np.asarray(regularizer(values), variable.dtype)
    form = None if not isinstance(regularizer, L1L2) else regularizer.form
    return recorded(f"regularizer of {variable.name}", penalty, [variable], pullback, form=form)
