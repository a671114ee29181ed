"""`distrib.tf.Module`: a class whose attributes hold variables."""

from __future__ import annotations

from typing import Any

from distrib.nn.layers.parts import Parts, may_be_tracked
from distrib.nn.layers.shapes import snake_case
from distrib.nn.variable import Variable


class Module:
    """Variables, layers and other modules in attributes, as in TensorFlow.

    Args:
        name: of it; that of the class in snake case by default.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        if isinstance(value, Module):
            self.__dict__.setdefault("_modules", []).append(value)
        elif may_be_tracked(value):
            self._parts.find(value)

    @property
    def _parts(self) -> Parts:
        found: Parts = self.__dict__.setdefault("_found", Parts())
        return found

    @property
    def variables(self) -> tuple[Variable, ...]:
        """All variables, those of the attributes, too."""
        own = [variable for _, variable in self._parts.paths()]
        for each in self.submodules:
            own += [v for v in each.variables if all(v is not other for other in own)]
        return tuple(own)

    @property
    def trainable_variables(self) -> tuple[Variable, ...]:
        """The variables that an optimizer may update."""
        return tuple(each for each in self.variables if each.trainable)

    @property
    def submodules(self) -> tuple[Any, ...]:
        """The modules in its attributes."""
        return tuple(self.__dict__.get("_modules", ()))
