"""Parts: the variables and layers that a class of a user's own has in its attributes.

Its variables are those it has made, and those of its layers; in lists, tuples and dicts, too. Layers without a name
are named by their class and numbered, `dense`, `dense_1`, in the order in which they were set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from distrib.base.arrays import Array
from distrib.nn.layers.shapes import snake_case, unique_name
from distrib.nn.variable import Variable


class Parts:
    """What was found in the attributes of an object.

    Attributes:
        variables: made by the object itself, in order.
        layers: by their names in it.
    """

    def __init__(self) -> None:
        self.variables: list[Variable] = []
        self.layers: dict[str, Any] = {}
        self._containers: list[Any] = []
        self._initial: dict[int, Array] = {}

    def states(self) -> Iterator[tuple[Variable, Array]]:
        """The variables that are not trained, those of the layers, too, and their first values."""
        for each in self.variables:
            if id(each) in self._initial:
                yield each, self._initial[id(each)]
        for layer in self.layers.values():
            if hasattr(layer, "states"):
                yield from layer.states()

    def find(self, value: Any) -> None:
        """Take what an attribute has been set to."""
        if isinstance(value, list | dict):
            self._containers.append(value)  # they may grow
        self._take(value)

    def refresh(self) -> None:
        """Take what lists and dicts have got since."""
        for each in self._containers:
            self._take(each)

    def _take(self, value: Any) -> None:
        if isinstance(value, Variable):
            self.add_variable(value)
        elif is_layer(value):
            if not any(value is each for each in self.layers.values()):
                self._name(value)
        elif isinstance(value, Mapping):
            for each in value.values():
                self._take(each)
        elif isinstance(value, list | tuple):
            for each in value:
                self._take(each)

    def add_variable(self, variable: Variable) -> None:
        """Add a variable, once."""
        if not any(variable is each for each in self.variables):
            if not variable.trainable and variable.aggregation is None:
                variable.aggregation = "mean"
            if not variable.trainable:
                self._initial[id(variable)] = variable.numpy()
            self.variables.append(variable)

    def _name(self, layer: Any) -> None:
        is_named = getattr(layer, "name_is_given", getattr(layer, "is_named", True))
        if is_named and layer.name and layer.name not in self.layers:
            name = layer.name
        else:
            name = unique_name(snake_case(type(layer).__name__), self.layers)
        layer.name = layer.name or name
        layer._name_in_owner = name
        self.layers[name] = layer

    def paths(self) -> Iterator[tuple[str, Variable]]:
        """All variables by their paths: `kernel`, `dense/kernel`; each once."""
        self.refresh()
        seen: set[int] = set()
        taken: dict[str, None] = {}
        own = sorted(self.variables, key=lambda each: not each.trainable)
        for each in own:
            name = unique_name(each.name.rpartition("/")[2] or "variable", taken)
            taken[name] = None
            seen.add(id(each))
            yield name, each
        for name, layer in self.layers.items():
            for path, variable in layer.paths():
                if id(variable) not in seen:
                    seen.add(id(variable))
                    yield f"{name}/{path}", variable


def may_be_tracked(value: Any) -> bool:
    """Whether it is, or may hold, a variable or a layer."""
    return isinstance(value, Variable | list | tuple | dict) or is_layer(value)


def is_layer(value: Any) -> bool:
    """Whether it is a layer, or a model."""
    return hasattr(type(value), "paths") and hasattr(type(value), "symbolic_outputs")
