"""FunctionActivation: a function of one's own as an activation, under a tape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from distrib.autodiff.tape import GradientTape
from distrib.autodiff.tensor import Tensor, as_tensor
from distrib.base.arrays import Array
from distrib.base.errors import ShapeError
from distrib.nn.activations.activation import Activation
from distrib.nn.custom_objects import get_registered_name


class FunctionActivation(Activation):
    """A function of arrays that returns one of the same shape.

    Args:
        function: written with functions that a tape knows.
    """

    needs_input = True

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self._function = function
        self._tape = GradientTape()  # of the last call
        self._x: Any = None
        self._result: Any = None

    def forward(self, x: Array, y: Array) -> None:
        self._tape = GradientTape()
        given: Any = as_tensor(x.view(Tensor))
        with self._tape:
            self._tape.watch(given)
            result = as_tensor(self._function(given))
        if result.shape != x.shape:
            raise ShapeError(
                f"An activation returns what it is given the shape of. Expected: {x.shape}. Received: {result.shape}."
            )
        np.copyto(y, result, casting="same_kind")
        self._x, self._result = given, result

    def backward(self, d_y: Array, x: Array, y: Array) -> None:
        found = self._tape.gradients([self._result], [self._x], [as_tensor(d_y.copy())])[0]
        np.copyto(d_y, 0 if found is None else found)

    def twin(self) -> Self:
        return type(self)(self._function)

    def get_config(self) -> dict[str, Any]:
        """The name of the function: registered, or in `custom_objects`, it is found again."""
        named = self._function if hasattr(self._function, "__name__") else type(self._function)
        return {"class": get_registered_name(named)}
