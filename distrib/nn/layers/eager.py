"""Layers on arrays: one call of a layer with a hand-written forward and backward, recorded as one operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from distrib.autodiff.structures import flat
from distrib.autodiff.tensor import as_tensor, read
from distrib.autodiff.whole import is_tracked, recorded
from distrib.base.arrays import Array
from distrib.nn.calls.call_context import current_context, in_call
from distrib.nn.layers.shapes import snake_case
from distrib.nn.variable import Variable


def applied(layer: Any, inputs: Any, training: bool | None) -> Any:
    """The outputs `(batch, ...)` of a layer, which is built if it has to be.

    Args:
        layer: with `forward` and `backward`.
        inputs: an array `(batch, ...)`; a list of them for a layer that takes several.
        training: see `Layer.__call__`.
    """
    context = current_context()
    if not layer.built and context is not None and layer.declared_dtype is None:
        layer.dtype = context.dtype
    given = [read(each) for each in flat(inputs)]
    arrays = [np.ascontiguousarray(np.asarray(each), layer.dtype) for each in given]
    shapes: Any = [each.shape[1:] for each in arrays]
    taken = shapes if layer.takes_several else shapes[0]
    layer.name = layer.name or f"{snake_case(type(layer).__name__)}_{layer.serial}"
    with in_call(layer, training, layer.dtype, layer.serial, len(arrays[0])) as context:
        if not layer.built:
            layer.prepare(taken, layer.dtype, context.own_seed if len(context.path) > 1 else context.seed)
        is_random = context.draw is not None and layer.draws_random_numbers
        twin = layer.twin(context.stream(layer.name) if is_random else layer.name)
        if layer.input_shape != taken:
            twin.prepare(taken, layer.dtype, 0)
        variables = twin.trainable_variables
        is_recorded = is_tracked(*given, *variables)
        own = twin.take_own_gradients() if is_recorded else {}
        outputs = twin.forward(arrays if layer.takes_several else arrays[0], context.draw)
        if is_recorded:
            twin.needs_input_gradient = is_tracked(*given)
            outputs = _recorded(layer, twin, outputs, given, variables, own)
        else:
            outputs = as_tensor(outputs.copy())
        if layer.activity_regularizer is not None and len(outputs):
            context.losses.append(_penalty(layer.activity_regularizer, outputs))
    return outputs


def _recorded(
    layer: Any,
    twin: Any,
    outputs: Array,
    given: list[Any],
    variables: list[Variable],
    own: Mapping[int, Variable],
) -> Any:
    """The outputs of `twin`, which is used for this call only, recorded.

    Args:
        layer: what was called.
        twin: computed the outputs, and has what the way back needs.
        outputs: `(batch, ...)`.
        given: the inputs.
        variables: those that are trained.
        own: by the `id` of a variable, the one of `twin`, which has the same value and a gradient of its own.
    """

    def pullback(d_y: Array, into: Mapping[Any, Array]) -> list[Any]:
        for variable in variables:
            if variable in into:
                own[id(variable)].move_to(variable.value, into[variable], None)
        d_x = twin.backward(np.array(d_y, layer.dtype, order="C"))
        of_inputs = d_x if layer.takes_several else [d_x]
        if not twin.needs_input_gradient:
            of_inputs = [None] * len(given)
        return [*of_inputs, *(own[id(variable)].grad for variable in variables)]

    written = None if layer.takes_several else twin.form()
    every = [variable.value for variable in layer.variables]
    form = None
    if written is not None and len(variables) in (0, len(every)):
        form = lambda x, *values: written(x, *(values or every))  # noqa: E731
    return recorded(layer.name, outputs, [*given, *variables], pullback, takes_memory=True, form=form)


def _penalty(regularizer: Any, outputs: Any) -> Any:
    """The mean over the examples of the penalty on their outputs."""
    values = np.asarray(outputs)

    def pullback(d: Array) -> list[Array]:
        gradient = np.zeros_like(values)
        regularizer.add_gradient(values.reshape(-1), gradient.reshape(-1), float(d) / len(values))
        return [gradient]

    penalty = np.asarray(regularizer(values.reshape(-1)) / len(values), values.dtype)
    return recorded("activity regularizer", penalty, [outputs], pullback)
