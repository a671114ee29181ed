"""Graph: what a network computes, as applications of layers in an order in which each finds its inputs.

Values are numbered: first the inputs, then what each application computes. A layer may be applied several times; it
has one set of variables. Layers in a row are the simplest graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from distrib.base.arrays import Shape
from distrib.nn.layers.layer import Layer


class Application(NamedTuple):
    """One application of a layer.

    Attributes:
        layer: its name in the graph.
        sources: the numbers of the values that it is applied to.
        training: False where it never trains, as after `layer(x, training=False)`; else None.
        num_outputs: number of values that it computes.
    """

    layer: str
    sources: tuple[int, ...]
    training: bool | None = None
    num_outputs: int = 1


class Graph(NamedTuple):
    """Applications of layers.

    Attributes:
        input_shapes: shape of one example of each input.
        layers: by their names in the graph, in the order in which their variables lie.
        applications: each behind those whose values it takes. What they compute is numbered in their order, behind
            the inputs.
        outputs: numbers of the values that are the outputs.
    """

    input_shapes: tuple[Shape, ...]
    layers: Mapping[str, Layer]
    applications: tuple[Application, ...]
    outputs: tuple[int, ...]

    @classmethod
    def chain(cls, layers: Mapping[str, Layer], input_shape: Shape) -> Graph:
        """Layers in a row.

        Args:
            layers: by name, in order.
            input_shape: shape of one example.
        """
        applications = tuple(Application(name, (index,)) for index, name in enumerate(layers))
        return cls((input_shape,), layers, applications, (len(applications),))
