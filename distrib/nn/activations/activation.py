"""Activation: the base class of activation functions.

`forward` writes f(x) into `y` (which may be `x` itself) and `backward` turns the gradient of y, in place, into
the gradient of x. A function whose derivative follows from y alone lets its layer overwrite x; others need x and
say so.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any, Self

import numpy as np

from distrib.base.arguments import HasArguments
from distrib.base.arrays import Array
from distrib.nn.workspace import Workspace


class Activation(HasArguments):
    """A function of every element (softmax: of every row)."""

    needs_input = False
    """Whether `backward` reads x, so that `y` must be other memory than `x`."""

    def __init__(self) -> None:
        self._scratch = Workspace()

    @abstractmethod
    def forward(self, x: Array, y: Array) -> None:
        """Write f(x) into `y`."""

    @abstractmethod
    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        """Turn `d_y` in place into the gradient of x. `x` is valid only if `needs_input`."""

    def twin(self) -> Self:
        """The same function with scratch memory of its own."""
        twin = copy.copy(self)
        twin._scratch = Workspace()
        return twin

    def get_config(self) -> dict[str, Any]:
        """The arguments of this activation, as JSON values."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


class Linear(Activation):
    """x."""

    def forward(self, x: Array, y: Array) -> None:
        if y is not x:
            np.copyto(y, x)

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        pass
