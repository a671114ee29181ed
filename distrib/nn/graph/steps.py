"""Steps: the applications of a graph, as a network goes through them.

Each has a layer with scratch memory of its own, and says whether a gradient has to come to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from distrib.base.arrays import Shape
from distrib.nn.graph.graph import Graph
from distrib.nn.layers.layer import Layer
from distrib.nn.variable import Variable


class Step(NamedTuple):
    """One application of a layer.

    Attributes:
        layer: a twin for this application.
        layer_index: which layer of the network it is.
        sources: the numbers of the values that it takes; the number itself where it takes one.
        target: the number of the value that it computes; numbers, where it computes several.
        learns: whether a gradient has to come to it, for its own variables or for those below.
        is_shared: whether its layer is applied elsewhere too, and learns.
        is_fixed: whether it never trains.
    """

    layer: Layer
    layer_index: int
    sources: int | tuple[int, ...]
    target: int | tuple[int, ...]
    learns: bool
    is_shared: bool
    is_fixed: bool


def steps_of(
    graph: Graph, layers: Sequence[Layer], shapes: Sequence[Shape], dtype: np.dtype[Any], seed: int
) -> list[Step]:
    """The steps of a graph.

    Args:
        graph: of built layers.
        layers: twins of its layers. The first application of each is by the twin itself, others by twins of it.
        shapes: shape of one example of each value.
        dtype: to compute in.
        seed: of the network.
    """
    names = [each.layer for each in graph.applications]
    index_of = {name: index for index, name in enumerate(graph.layers)}
    learns = [False] * len(graph.input_shapes)
    counts = [0] * len(layers)
    steps = []
    for each in graph.applications:
        index = index_of[each.layer]
        layer = layers[index]
        if counts[index]:
            layer = layer.twin(f"{layer.name}/{counts[index]}")
        # Another network may have built the layer for other shapes since.
        layer.prepare(shapes_taken(layer, shapes, each.sources), dtype, seed)
        counts[index] += 1
        first = len(learns)
        has_own = bool(trainable_of(layer))
        layer.needs_input_gradient = any(learns[source] for source in each.sources)
        is_learning = has_own or layer.needs_input_gradient
        steps.append(
            Step(
                layer,
                index,
                each.sources if layer.takes_several else each.sources[0],
                target=first if each.num_outputs == 1 else tuple(range(first, first + each.num_outputs)),
                learns=is_learning,
                is_shared=has_own and names.count(each.layer) > 1,
                is_fixed=each.training is False,
            )
        )
        learns += [is_learning] * each.num_outputs
    return steps


def shapes_taken(layer: Layer, shapes: Sequence[Shape], sources: Sequence[int]) -> Any:
    """The shape that a layer takes, or the list of those of a layer that takes several values."""
    taken = [shapes[source] for source in sources]
    return taken if layer.takes_several or len(taken) > 1 else taken[0]


def trainable_of(layer: Layer) -> list[Variable]:
    """The variables of a layer that an optimizer may update."""
    return layer.trainable_variables


def named(layer: Layer) -> Iterator[tuple[str, Variable]]:
    """The variables of a layer, `dense_1/kernel`: by the name that the layer has in its network, if it has one."""
    for path, variable in layer.paths():
        yield f"{layer.prefix}{path}", variable
