"""TapedCall: the last forward pass of a layer of one's own, and the way back through it."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.autodiff.structures import flat
from distrib.autodiff.tape import GradientTape
from distrib.autodiff.tensor import Tensor, as_tensor
from distrib.base.arrays import Array
from distrib.nn.calls.call_context import CallContext, in_context
from distrib.nn.rng import RngKey


class TapedCall:
    """Calls a layer's `call` under a tape.

    Args:
        layer: with variables that are made.

    Attributes:
        losses: what `add_loss` has added.
    """

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._tape = GradientTape()
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._rows = 0
        self.losses: list[Any] = []

    def forward(self, x: Any, draw: RngKey | None) -> Any:
        """See `HasCall.forward`. Without examples nothing is called: means of nothing would be NaN."""
        layer = self._layer
        arrays = x if isinstance(x, list) else [x]
        self._rows, shape = len(arrays[0]), layer.output_shape
        self._inputs = [as_tensor(each.view(Tensor)) for each in arrays]
        if not self._rows:
            self.losses = []
            empty = [
                np.zeros((0, *each), layer.dtype) for each in (shape if isinstance(shape, list) else [shape])
            ]
            return empty if isinstance(shape, list) else empty[0]
        self._tape = GradientTape()
        context = CallContext(draw is not None, draw, layer.dtype, layer.serial, self._rows)
        with in_context(context), self._tape:
            if layer.needs_input_gradient:
                self._tape.watch(self._inputs)
            taken = self._inputs if isinstance(x, list) else self._inputs[0]
            self._outputs = [as_tensor(each) for each in flat(layer.call_inside(taken))]
        self.losses = context.losses
        outputs = [np.ascontiguousarray(each, layer.dtype) for each in self._outputs]
        return outputs if isinstance(shape, list) else outputs[0]

    def backward(self, d_y: Any) -> Any:
        """See `HasCall.backward`."""
        variables = self._layer.learning
        if not self._rows:
            for each in variables:
                each.grad[...] = 0
            empty = [np.zeros(each.shape, each.dtype) for each in self._inputs]
            return empty if self._layer.takes_several else empty[0]
        weights = list(d_y) if isinstance(d_y, list) else [d_y]
        weights += [np.full(np.shape(each), self._rows, each.dtype) for each in self.losses]
        inputs = self._inputs if self._layer.needs_input_gradient else []
        into = {each: each.grad for each in variables}
        found = self._tape.gradients([*self._outputs, *self.losses], [*inputs, *variables], weights, into)
        for each, gradient in zip(variables, found[len(inputs) :], strict=True):
            if gradient is None:
                each.grad[...] = 0
        if not inputs:
            return d_y
        d_x = [_array(g, each) for g, each in zip(found[: len(inputs)], inputs, strict=True)]
        return d_x if self._layer.takes_several else d_x[0]


def _array(gradient: Any, operand: Array) -> Array:
    if gradient is None:
        return np.zeros(operand.shape, operand.dtype)
    return np.asarray(gradient)
