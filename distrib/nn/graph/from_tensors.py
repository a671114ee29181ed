"""From symbolic tensors to a graph: which calls lie between inputs and outputs, and in which order.

The order of the layers is that of Keras, since the weights of a model are listed in it: by their distance from the
outputs, the farthest first; at the same distance, in the order in which a search backwards from the outputs, depth
first, comes to them. A layer that is called several times is as far as its farthest call.

A model that is called within another one is one layer there. Its own layers are put in its place, under names that
begin with the model's; a layer that is reached in several ways is one layer, under the first name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distrib.base.errors import ConfigError
from distrib.nn.graph.graph import Application, Graph
from distrib.nn.graph.symbolic import KerasTensor, Node
from distrib.nn.layers.layer import Layer


def nodes_between(inputs: Sequence[KerasTensor], outputs: Sequence[KerasTensor]) -> list[Node]:
    """The calls that compute the outputs from the inputs, in an order in which each finds what it takes.

    The nodes of input layers are among them, also of those that no output needs.

    Raises:
        ConfigError: the outputs need an input that is not among `inputs`.
    """
    given = {id(each) for each in inputs}
    rank: dict[int, int] = {}  # of what is called, in the order in which the search comes to it
    finished: list[Node] = []
    state: dict[int, bool] = {}  # node -> whether it is finished
    for output in outputs:
        stack: list[tuple[KerasTensor, bool]] = [(output, False)]
        while stack:
            tensor, is_left = stack.pop()
            node = tensor.node
            if is_left:
                state[id(node)] = True
                finished.append(node)
                continue
            if id(node) in state:
                continue
            if id(tensor) in given:
                if not node.inputs:
                    state[id(node)] = True
                    rank.setdefault(id(node.callee), len(rank))
                    finished.append(node)
                continue
            if not node.inputs:
                raise ConfigError(
                    f"The outputs are computed from input '{tensor.name}' of shape {tensor.shape}, which is not "
                    f"among the inputs of the model: {[each.name for each in inputs]}. Add it."
                )
            state[id(node)] = False
            rank.setdefault(id(node.callee), len(rank))
            stack.append((tensor, True))
            stack += [(each, False) for each in reversed(node.inputs)]
    for tensor in inputs:
        if (
            id(tensor.node) not in state and not tensor.node.inputs
        ):  # no output needs it: as near as the outputs
            state[id(tensor.node)] = True
            rank.setdefault(id(tensor.node.callee), -1)
            finished.append(tensor.node)
    distance: dict[int, int] = {}
    of_callee: dict[int, int] = {}
    for node in reversed(finished):
        own = max(distance.get(id(node), 0), of_callee.get(id(node.callee), 0))
        distance[id(node)] = of_callee[id(node.callee)] = own
        for tensor in node.inputs:
            if id(tensor) not in given or not tensor.node.inputs:
                distance[id(tensor.node)] = max(own + 1, distance.get(id(tensor.node), 0))
    position = {id(node): index for index, node in enumerate(finished)}
    return sorted(finished, key=lambda n: (-distance[id(n)], rank[id(n.callee)], position[id(n)]))


def callees_of(nodes: Sequence[Node]) -> list[Any]:
    """What is called, each once, in the order of the layers of a model."""
    last = {id(node.callee): node.callee for node in nodes}
    first: dict[int, int] = {}
    for index, node in enumerate(nodes):
        first.setdefault(id(node.callee), index)
    return [last[key] for key in sorted(first, key=first.__getitem__)]


def graph_of(
    inputs: Sequence[KerasTensor],
    outputs: Sequence[KerasTensor],
    nodes: Sequence[Node],
    name_of: Callable[[Any], str],
) -> Graph:
    """The graph of these calls, with the layers of models that are called in it.

    Args:
        inputs: the tensors that are given.
        outputs: those that are computed.
        nodes: the calls between them, from `nodes_between`.
        name_of: the name of what is called, in this model.
    """
    number = {id(tensor): index for index, tensor in enumerate(inputs)}
    applications: list[Application] = []
    layers: dict[str, Layer] = {}
    names: dict[int, str] = {}
    for node in nodes:
        if not node.inputs:
            continue
        name, sources = name_of(node.callee), [number[id(each)] for each in node.inputs]
        if isinstance(node.callee, Layer):
            inner = Graph(
                tuple(each.example_shape for each in node.inputs),
                {name: node.callee},
                (Application(name, tuple(range(len(sources))), node.training, len(node.outputs)),),
                tuple(range(len(sources), len(sources) + len(node.outputs))),
            )
            renamed = {name: name}
        else:
            inner = node.callee.graph_for([each.example_shape for each in node.inputs])
            renamed = {each: f"{name}/{each}" for each in inner.layers}
        place = _merge(inner, renamed, sources, layers, names, applications, len(inputs), node.training)
        for tensor, output in zip(node.outputs, inner.outputs, strict=True):
            number[id(tensor)] = place[output]
    shapes = tuple(each.example_shape for each in inputs)
    return Graph(shapes, layers, tuple(applications), tuple(number[id(each)] for each in outputs))


def _merge(
    inner: Graph,
    renamed: Mapping[str, str],
    sources: Sequence[int],
    layers: dict[str, Layer],
    names: dict[int, str],
    applications: list[Application],
    num_inputs: int,
    training: bool | None,
) -> list[int]:
    """Append the applications of `inner` to those of the outer graph; returns the numbers of its values there."""
    for own, layer in inner.layers.items():
        if id(layer) not in names:
            names[id(layer)] = renamed[own]
            layers[renamed[own]] = layer
    place = list(sources)
    for each in inner.applications:
        first = num_inputs + sum(earlier.num_outputs for earlier in applications)
        place += range(first, first + each.num_outputs)
        is_fixed = False if False in (training, each.training) else None
        found = tuple(place[source] for source in each.sources)
        name = names[id(inner.layers[each.layer])]
        applications.append(Application(name, found, is_fixed, each.num_outputs))
    return place
