"""TensorPart: what an optimizer knows of a tensor, or of the part of one, that it updates."""

from __future__ import annotations

from typing import NamedTuple

from distrib.base.arrays import Shape
from distrib.base.ranges import Range
from distrib.nn.constraints import Constraint


class TensorPart(NamedTuple):
    """A tensor, or a part of one.

    Attributes:
        name: of the variable.
        shape: of the variable, or `(size,)` for a part of one.
        range: where it lies in the elements that the optimizer updates.
        constraint: applied after each update; None for none.
        decays: whether weight decay is applied.
    """

    name: str
    shape: Shape
    range: Range
    constraint: Constraint | None = None
    decays: bool = True
