"""Network: ordered layers over one flat buffer. Forward, loss, metrics, backward, all as sums over examples.

The network never divides by the number of examples. `train_on` leaves in the flat gradient vector the *sum* of
weighted per-example gradients, and returns a `BatchSums` of sums; a strategy adds both over the replicas and the
division happens once. So any split of a batch gives the gradient of the whole batch.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ShapeError
from distrib.base.ranges import Range
from distrib.nn.batch_sums import BatchSums
from distrib.nn.flat_buffer import FlatBuffer
from distrib.nn.layers.layer import Layer
from distrib.nn.objective import Objective
from distrib.nn.regularizers import Regularizer
from distrib.nn.rng import RngKey
from distrib.nn.variable import Variable


class Network:
    """Built layers and the flat vectors their variables lie in.

    Args:
        layers: in order, by their names in this network, which may be others than in another network. They are
            built, unless they are already.
        input_shape: shape of one example.
        dtype: dtype of all variables and computations.
        seed: seed of initializers and random layers.
        frozen: names of the layers that no optimizer may update.

    Attributes:
        layers: twins of the layers, as they were when the network was last laid out.
        variables: all variables by name, layer by layer.
        fixed_variables: those that no optimizer changes, for what they are or because their layer is frozen.
        buffer: the flat vectors of all others.
        regularizers: by the names of the variables that they penalize.
        damage: what has happened to the values, if they must not be used; else empty.
    """

    def __init__(
        self,
        layers: Mapping[str, Layer],
        input_shape: Shape,
        dtype: np.dtype[Any],
        seed: int,
        frozen: Container[str] = (),
    ) -> None:
        self._given = dict(layers)
        self.damage = ""
        self.input_shape, self.dtype, self.seed = input_shape, dtype, seed
        shape = input_shape
        for layer in layers.values():
            layer.build(shape, dtype, seed)
            shape = layer.output_shape
        self.output_shape = shape
        self.lay_out(frozen)

    def lay_out(self, frozen: Container[str] = ()) -> None:
        """Move the variables of all layers that are not frozen into a flat buffer of their own."""
        self.layers = [layer.twin(name) for name, layer in self._given.items()]
        for layer in self.layers:
            layer.trainable = layer.name not in frozen
        self._filled: Callable[[int], None] | None = None
        self._apart: deque[Network] = deque()
        learners = [index for index, layer in enumerate(self.layers) if _trainable(layer)]
        # The backward pass ends at the first layer that learns, and does not compute that layer's d_x.
        self._first_learner = learners[0] if learners else len(self.layers)
        for index, layer in enumerate(self.layers):
            layer.needs_input_gradient = index > self._first_learner
            layer.gradients_are_final = partial(self._layer_is_final, index)
        self.variables = {_name(layer, v): v for layer in self.layers for v in layer.variables}
        trainable = {_name(layer, v): v for layer in self.layers for v in _trainable(layer)}
        self.fixed_variables = {n: v for n, v in self.variables.items() if n not in trainable}
        self.buffer = FlatBuffer(trainable, self.dtype)
        sizes = [sum(variable.size for variable in _trainable(layer)) for layer in self.layers]
        self._begins = [0, *accumulate(sizes)]  # where each layer's gradient lies
        self.regularizers = {
            _name(layer, variable): layer.regularizers[variable.name]
            for layer in self.layers
            for variable in layer.variables
            if variable.name in layer.regularizers
        }

    @contextmanager
    def apart(self) -> Iterator[Network]:
        """A network with the same variables and scratch memory of its own.

        For what happens besides a training: an evaluation or a prediction, in another thread or within a step.
        """
        free = self._apart
        try:
            twin = free.pop()
        except IndexError:
            twin = copy.copy(self)
            twin.layers = [layer.twin(layer.name) for layer in self.layers]
        try:
            yield twin
        finally:
            free.append(twin)

    def check_input(self, x: Array) -> None:
        """Raise `ShapeError` unless `x` is a batch of this network's inputs."""
        if x.shape[1:] == self.input_shape and x.ndim >= 1:
            return
        first = next((layer for layer in self.layers if layer.variables), self.layers[0])
        flat = x.ndim > 2 and self.input_shape == (int(np.prod(x.shape[1:])),)
        hint = " Add Flatten() before it." if flat else ""
        expected = ", ".join(["batch", *map(str, self.input_shape)])
        raise ShapeError(
            f"{type(first).__name__} '{first.name}' expects inputs of shape ({expected}). "
            f"Received: {x.shape}.{hint}"
        )

    def forward(self, x: Array, draw: RngKey | None = None) -> Array:
        """The outputs `(batch, *output_shape)`, valid until the next call.

        Args:
            x: `(batch, *input_shape)` in the network's dtype.
            draw: which random numbers to draw while training; None when not training.
        """
        for layer in self.layers:
            x = layer.forward(x, draw)
        return x

    def train_on(
        self,
        x: Array,
        y: Array,
        weight: Array | None,
        draw: RngKey,
        objective: Objective,
        filled: Callable[[int], None] | None = None,
    ) -> BatchSums:
        """Compute the summed gradient of a batch into `buffer.grads`.

        Args:
            x: `(batch, *input_shape)` in the network's dtype; the batch may be empty.
            y: prepared targets.
            weight: `(batch,)` sample weights in the network's dtype, or None.
            draw: which random numbers to draw.
            objective: loss and metrics.
            filled: called with `begin` while the gradient is computed, from its end to its beginning, whenever
                all elements from `begin` on are final.

        Returns:
            The sums for this batch, valid until the next call.
        """
        prediction = self._measure(x, y, weight, draw, objective)
        d_y = objective.loss.backward(y, prediction)
        if weight is not None:
            d_y *= weight.reshape(-1, *[1] * (d_y.ndim - 1))
        if filled is not self._filled:
            self._filled = filled
            for layer in self.layers:
                layer.gradients_are_sent_early = filled is not None
        last = objective.fused_layer
        if last is not None:
            d_y = last.linear_backward(d_y)
        for index in reversed(range(self._first_learner, len(self._body(last)))):
            d_y = self.layers[index].backward(d_y)
            self._layer_is_final(index, 0)
        return objective.batch_sums

    def _layer_is_final(self, index: int, begin: int) -> None:
        if self._filled is not None and self._begins[index] < self._begins[index + 1]:
            self._filled(self._begins[index] + begin)

    def test_on(self, x: Array, y: Array, weight: Array | None, objective: Objective) -> BatchSums:
        """The sums of a batch, without gradient. For arguments and result see `train_on`."""
        self._measure(x, y, weight, None, objective)
        return objective.batch_sums

    def _measure(
        self, x: Array, y: Array, weight: Array | None, draw: RngKey | None, objective: Objective
    ) -> Array:
        """Put the sums of a batch into the objective's batch sums; returns what the loss was computed from."""
        last = objective.fused_layer
        for layer in self._body(last):
            x = layer.forward(x, draw)
        prediction = x if last is None else last.linear(x)
        values = objective.loss.forward(y, prediction)
        y_pred = prediction if last is None else objective.loss.activate(prediction)
        objective.measure(y, y_pred, values, weight)
        return prediction

    def _body(self, fused_layer: Layer | None) -> list[Layer]:
        """The layers but the one whose activation the loss takes over."""
        return self.layers if fused_layer is None else self.layers[:-1]

    def penalty(self, part: Range) -> float:
        """The regularizers' penalty for the elements of the flat vector in `part`."""
        values = self.buffer.values
        return sum(regularizer(values[own.slice]) for regularizer, own in self.penalized(part))

    def add_penalty_gradient(self, part: Range, scale: float) -> None:
        """Add `scale` times the gradient of the penalty to the gradients in `part`."""
        values, grads = self.buffer.values, self.buffer.grads
        for regularizer, own in self.penalized(part):
            regularizer.add_gradient(values[own.slice], grads[own.slice], scale)

    def penalized(self, part: Range) -> Iterator[tuple[Regularizer, Range]]:
        """The regularizers of the elements in `part`, each with the range it is for."""
        if self.regularizers:
            for entry, own in self.buffer.entries_in(part):
                if entry.name in self.regularizers:
                    yield self.regularizers[entry.name], own


def _name(layer: Layer, variable: Variable) -> str:
    """`dense_1/kernel`: by the name that the layer has in its network."""
    return f"{layer.name}/{variable.name.rpartition('/')[2]}"


def _trainable(layer: Layer) -> list[Variable]:
    return [variable for variable in layer.variables if layer.trainable and variable.trainable]
