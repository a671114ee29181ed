"""VariableGroup: variables that one optimizer updates, as a strategy takes a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrib.base.errors import ConfigError
from distrib.nn.constraints import Constraint
from distrib.nn.flat_buffer import FlatBuffer
from distrib.nn.layers.shapes import unique_name
from distrib.nn.penalties import WeightPenalties
from distrib.nn.variable import Variable


class VariableGroup:
    """Variables in one flat vector. What they are penalized by is in the loss of a loop of one's own.

    Args:
        variables: of one dtype.

    Raises:
        ConfigError: variables of several dtypes, or one that comes twice.
    """

    def __init__(self, variables: Sequence[Variable]) -> None:
        self._lay_out(variables)

    @classmethod
    def empty(cls, dtype: np.dtype[Any]) -> VariableGroup:
        """A group without variables."""
        group = cls.__new__(cls)
        group.dtype, group.buffer, group.damage = dtype, FlatBuffer({}, dtype), ""
        group.penalties = WeightPenalties({}, group.buffer)
        group.constraints, group.variables, group.fixed_variables, group.states = {}, {}, {}, []
        return group

    def _lay_out(self, variables: Sequence[Variable]) -> None:
        dtypes = {each.dtype for each in variables}
        if len(dtypes) > 1 or len({id(each) for each in variables}) < len(variables):
            raise ConfigError(
                "apply_gradients expects each variable once, and all of one dtype. Received: "
                f"{[f'{each.name} of {each.dtype}' for each in variables][:10]}."
            )
        self.dtype = variables[0].dtype
        place = variables[0].place
        if isinstance(place, FlatBuffer) and same_variables(place.variables, variables):
            self.buffer = place  # of a model, whose optimizer may know them by their names
        else:
            named: dict[str, Variable] = {}
            for each in variables:
                named[unique_name(each.name, named)] = each
            self.buffer = FlatBuffer(named, self.dtype)
        self.penalties = WeightPenalties({}, self.buffer)
        names = [entry.name for entry in self.buffer.layout]
        self.constraints: dict[str, Constraint] = {
            name: each.constraint
            for name, each in zip(names, variables, strict=True)
            if each.constraint is not None
        }
        self.variables = dict(zip(names, variables, strict=True))
        self.states: list[Variable] = []
        self.fixed_variables: dict[str, Variable] = {}
        self.damage = ""


def same_variables(some: Sequence[Variable], others: Sequence[Variable]) -> bool:
    """Whether both are the same variables in the same order."""
    return len(some) == len(others) and all(a is b for a, b in zip(some, others, strict=True))
