"""VariableGroup: variables that one optimizer updates, as a strategy takes a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        trained: name -> variable, updated by one optimizer; may be empty.
        others: name -> variable, which no optimizer of the group updates.
        dtype: of those that are trained.

    Raises:
        ConfigError: variables of several dtypes, or one that comes twice.
    """

    def __init__(
        self, trained: Mapping[str, Variable], others: Mapping[str, Variable], dtype: np.dtype[Any]
    ) -> None:
        variables = list(trained.values())
        if any(each.dtype != dtype for each in variables) or len(set(map(id, variables))) < len(variables):
            raise ConfigError(
                "apply_gradients expects each variable once, and all of one dtype. Received: "
                f"{[f'{each.name} of {each.dtype}' for each in variables][:10]}."
            )
        self.dtype = dtype
        place = variables[0].place if variables else None
        if isinstance(place, FlatBuffer) and same_variables(place.variables, variables):
            self.buffer = place  # of a model, whose optimizer may know them by their names
        else:
            self.buffer = FlatBuffer(dict(trained), dtype)
        self.penalties = WeightPenalties({}, self.buffer)
        names = [entry.name for entry in self.buffer.layout]
        named = dict(zip(names, variables, strict=True))
        self.constraints: dict[str, Constraint] = {
            name: each.constraint for name, each in named.items() if each.constraint is not None
        }
        self.variables: dict[str, Variable] = {**named, **others}
        self.fixed_variables = dict(others)
        self.states = [each for each in others.values() if each.aggregation is not None]
        self.damage = ""


def named_group(variables: Sequence[Variable]) -> VariableGroup:
    """Variables by their own names, made unique. For the errors see `VariableGroup`."""
    named: dict[str, Variable] = {}
    for each in variables:
        named[unique_name(each.name, named)] = each
    return VariableGroup(named, {}, variables[0].dtype)


def same_variables(some: Sequence[Variable], others: Sequence[Variable]) -> bool:
    """Whether both are the same variables in the same order."""
    return len(some) == len(others) and all(a is b for a, b in zip(some, others, strict=True))
