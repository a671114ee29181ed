"""Network: a graph of layers over one flat buffer. Forward, loss, metrics, backward, all as sums over examples.

The network never divides by the number of examples. `train_on` leaves in the flat gradient vector the *sum* of
weighted per-example gradients, and returns a `BatchSums` of sums; a strategy adds both over the replicas and the
division happens once. So any split of a batch gives the gradient of the whole batch.

A layer that is applied several times has a twin for each application, with scratch memory of its own. Gradients that
come to a value from several applications add, and so do those that the applications of a layer leave in its
variables.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Columns, Shape, columns
from distrib.base.errors import ShapeError
from distrib.nn.batch_sums import BatchSums
from distrib.nn.constraints import Constraint
from distrib.nn.flat_buffer import FlatBuffer
from distrib.nn.graph.gradient_progress import GradientProgress
from distrib.nn.graph.gradients import add, of_several, zeros_like
from distrib.nn.graph.graph import Graph
from distrib.nn.graph.inputs import refuse_input
from distrib.nn.graph.steps import Step, named, shapes_taken, steps_of, trainable_of
from distrib.nn.joint_objective import AnyObjective
from distrib.nn.penalties import WeightPenalties
from distrib.nn.rng import RngKey


class Network:
    """Built layers and the flat vectors their variables lie in.

    Args:
        graph: the layers, by their names in this network, which may be others than in another network, and how they
            are applied. They are built, unless they are already.
        dtype: dtype of all variables and computations.
        seed: seed of initializers and random layers.
        frozen: names of the layers that no optimizer may update.

    Attributes:
        graph: as given.
        input_shapes: shape of one example of each input.
        layers: twins of the layers, as they were when the network was last laid out.
        output_layers: of each output, the layer that computes it, if nothing else reads that value; else None.
        output_shapes: shape of one example of each output.
        variables: all variables by name, layer by layer.
        fixed_variables: those that no optimizer changes, for what they are or because their layer is frozen.
        states: those of them that change in training: replicas combine them after each step.
        buffer: the flat vectors of all others.
        penalties: of the regularizers of variables.
        damage: what has happened to the values, if they must not be used; else empty.
    """

    def __init__(self, graph: Graph, dtype: np.dtype[Any], seed: int, frozen: Container[str] = ()) -> None:
        self.graph, self.damage = graph, ""
        self.input_shapes = graph.input_shapes
        self.dtype, self.seed = dtype, seed
        shapes = list(graph.input_shapes)
        for each in graph.applications:
            layer = graph.layers[each.layer]
            layer.prepare(shapes_taken(layer, shapes, each.sources), dtype, seed)
            computed: Any = layer.output_shape
            shapes += computed if each.num_outputs > 1 else [computed]
        self._shapes = shapes
        self.output_shapes = tuple(shapes[output] for output in graph.outputs)
        self.lay_out(frozen)

    @property
    def input_shape(self) -> Shape:
        """Shape of one example of the only input, or of the first."""
        return self.graph.input_shapes[0]

    @property
    def output_shape(self) -> Shape:
        """Shape of one example of the only output, or of the first."""
        return self.output_shapes[0]

    def lay_out(self, frozen: Container[str] = ()) -> None:
        """Move the variables of all layers that are not frozen into a flat buffer of their own."""
        self.layers = [layer.twin(name) for name, layer in self.graph.layers.items()]
        for layer in self.layers:
            layer.trainable = layer.name not in frozen
        self._apart: deque[Network] = deque()
        self._steps = steps_of(self.graph, self.layers, self._shapes, self.dtype, self.seed)
        self._lay_values()
        self.variables = {name: variable for layer in self.layers for name, variable in named(layer)}
        trained = {id(each) for layer in self.layers for each in trainable_of(layer)}
        trainable = {name: each for name, each in self.variables.items() if id(each) in trained}
        self.fixed_variables = {n: v for n, v in self.variables.items() if n not in trainable}
        self.buffer = FlatBuffer(trainable, self.dtype)
        sizes = [sum(variable.size for variable in trainable_of(layer)) for layer in self.layers]
        learning = [step.layer_index for step in self._steps if step.learns]
        self._progress = GradientProgress(sizes, [learning.count(index) for index in range(len(sizes))])
        for step in self._steps:
            step.layer.learning = trainable_of(step.layer)
            if not step.is_shared:
                step.layer.gradients_are_final = partial(self._progress.is_final_from, step.layer_index)
        shared = [sizes[step.layer_index] for step in self._steps if step.is_shared]
        self._others = np.empty(max(shared, default=0), self.dtype)
        given = {
            name: each.regularizer for name, each in self.variables.items() if each.regularizer is not None
        }
        self.penalties = WeightPenalties(given, self.buffer)
        self.constraints: dict[str, Constraint] = {
            name: each.constraint for name, each in self.variables.items() if each.constraint is not None
        }
        self.states = [each for each in self.fixed_variables.values() if each.aggregation is not None]

    def _lay_values(self) -> None:
        graph = self.graph
        self._values: list[Any] = [None] * len(self._shapes)
        read = [source for each in graph.applications for source in each.sources] + list(graph.outputs)
        computed = {step.target: step.layer for step in self._steps}
        self._own_calls = [step for step in self._steps if step.layer.has_call]
        self.output_layers = [
            computed.get(output) if read.count(output) == 1 else None for output in graph.outputs
        ]
        # A fused layer's outputs are not there to be penalized.
        penalized = [step for step in self._steps if step.layer.activity_regularizer is not None]
        for number, output in enumerate(graph.outputs):
            if output in [step.target for step in penalized]:
                self.output_layers[number] = None
        self._activity_penalties: dict[Any, Any] = {
            step.target: step.layer.activity_regularizer for step in penalized
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
            twin._steps = steps_of(self.graph, twin.layers, self._shapes, self.dtype, self.seed)
            twin._lay_values()
        try:
            yield twin
        finally:
            free.append(twin)

    def check_input(self, x: Columns) -> None:
        """Raise `ShapeError` unless `x` is a batch of this network's inputs."""
        given = columns(x)
        if len(given) != len(self.input_shapes):
            raise ShapeError(f"The model has {len(self.input_shapes)} inputs. Received: {len(given)} arrays.")
        for number, (array, shape) in enumerate(zip(given, self.input_shapes, strict=True)):
            if array.shape[1:] != shape or array.ndim < 1:
                readers = [step.layer for step in self._steps if number in np.atleast_1d(step.sources)]
                with_variables = [layer for layer in self.layers if layer.variables]
                is_only = len(self.input_shapes) == 1 and bool(with_variables)
                refuse_input((with_variables if is_only else readers)[0], array.shape, shape)

    def forward(self, x: Columns, draw: RngKey | None = None) -> Columns:
        """The outputs, each `(batch, *output_shape)`, valid until the next call.

        Args:
            x: `(batch, *input_shape)` in the network's dtype; a tuple of these where there are several inputs.
            draw: which random numbers to draw while training; None when not training.

        Returns:
            One array, or a tuple where there are several outputs.
        """
        self._run(x, draw, ())
        outputs = self.graph.outputs
        if len(outputs) == 1:
            output: Array = self._values[outputs[0]]
            return output
        return tuple(self._values[output] for output in outputs)

    def _run(self, x: Columns, draw: RngKey | None, linear: Container[int]) -> None:
        """Compute all values; those in `linear` without the activation of the layer that computes them."""
        values = self._values
        if isinstance(x, tuple):
            values[: len(x)] = x
        else:
            values[0] = x
        target: Any
        for layer, _, sources, target, _, _, is_fixed in self._steps:
            taken: Any = values[sources] if type(sources) is int else [values[each] for each in sources]  # type: ignore[union-attr]
            if target in linear:
                values[target] = layer.linear(taken)  # type: ignore[attr-defined]
            elif type(target) is int:
                values[target] = layer.forward(taken, None if is_fixed else draw)
            else:
                for each, value in zip(target, layer.forward(taken, None if is_fixed else draw), strict=True):
                    values[each] = value

    def train_on(
        self,
        x: Columns,
        y: Columns,
        weight: Columns | None,
        draw: RngKey,
        objective: AnyObjective,
        filled: Callable[[int], None] | None = None,
    ) -> BatchSums:
        """Compute the summed gradient of a batch into `buffer.grads`.

        Args:
            x: `(batch, *input_shape)` in the network's dtype, or a tuple of several inputs; the batch may be empty.
            y: prepared targets, or a tuple of those of several outputs.
            weight: `(batch,)` sample weights in the network's dtype, or a tuple of those of several outputs, or None.
            draw: which random numbers to draw.
            objective: loss and metrics.
            filled: called with `begin` while the gradient is computed, from its end to its beginning, whenever
                all elements from `begin` on are final.

        Returns:
            The sums for this batch, valid until the next call.
        """
        linear = self._measure(x, y, weight, draw, objective)
        gradients: list[Array | None] = [None] * len(self._values)
        for number, output in enumerate(self.graph.outputs):
            d_y = objective.backward(number, y, self._values[output], weight)
            if d_y is not None:
                add(gradients, output, d_y)
        if filled is not self._progress.report:
            self._progress.report = filled
            for step in self._steps:
                step.layer.gradients_are_sent_early = filled is not None and not step.is_shared
        self._progress.begin()
        for step in reversed(self._steps):
            if step.learns:
                self._backward(step, gradients, step.target in linear)
        return objective.batch_sums

    def _backward(self, step: Step, gradients: list[Array | None], is_linear: bool) -> None:
        """Take the gradient of a value to the variables of its layer, and to the values that it was computed from."""
        layer, index, sources, target, _, is_shared, _ = step
        progress = self._progress
        d_y: Any = (
            gradients[target] if isinstance(target, int) else of_several(target, gradients, self._values)
        )
        if d_y is None and layer.has_call and layer.added_losses:
            d_y = zeros_like(target, self._values)
        if isinstance(target, int) and target in self._activity_penalties:
            d_y = self._with_penalty(target, d_y)
        if d_y is None:  # no loss depends on it
            if progress.is_first(index):
                self.buffer.grads[progress.range_of(index).slice] = 0
        else:
            adds = is_shared and not progress.is_first(index)
            if adds:
                own = progress.range_of(index)
                others = self._others[: own.size]
                np.copyto(others, self.buffer.grads[own.slice])
            d_x = layer.linear_backward(d_y) if is_linear else layer.backward(d_y)  # type: ignore[attr-defined]
            if adds:
                self.buffer.grads[own.slice] += others
            if layer.needs_input_gradient:
                if type(sources) is int:
                    add(gradients, sources, d_x)
                else:
                    for source, each in zip(sources, d_x, strict=True):  # type: ignore[arg-type]
                        add(gradients, source, each)
        progress.is_through(index)

    def _with_penalty(self, target: int, d_y: Array | None) -> Array:
        """The gradient of a value with that of the penalty on it. Penalties are summed over the examples."""
        value, regularizer = self._values[target], self._activity_penalties[target]
        assert regularizer is not None
        d_y = np.zeros_like(value) if d_y is None else np.ascontiguousarray(d_y)
        regularizer.add_gradient(value.reshape(-1), d_y.reshape(-1), 1.0)
        return d_y

    def test_on(self, x: Columns, y: Columns, weight: Columns | None, objective: AnyObjective) -> BatchSums:
        """The sums of a batch, without gradient. For arguments and result see `train_on`."""
        self._measure(x, y, weight, None, objective)
        return objective.batch_sums

    def _measure(
        self, x: Columns, y: Columns, weight: Columns | None, draw: RngKey | None, objective: AnyObjective
    ) -> list[int]:
        """Put the sums of a batch into the objective's batch sums.

        Returns:
            The numbers of the values that were left without the activation of their layer.
        """
        outputs = self.graph.outputs
        linear = [output for output, fused in zip(outputs, objective.fused_layers, strict=True) if fused]
        self._run(x, draw, linear)
        objective.measure_outputs(y, [self._values[output] for output in outputs], weight)
        for target, regularizer in self._activity_penalties.items():
            assert regularizer is not None
            objective.batch_sums.loss += regularizer(self._values[target].reshape(-1))
        for step in self._own_calls:
            for loss in step.layer.added_losses:
                objective.batch_sums.loss += objective.batch_sums.count * float(loss)
        return linear
