"""Functional: a model of symbolic tensors. Any graph of layers, with several inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError, ShapeError
from distrib.nn.graph.from_tensors import callees_of, graph_of, nodes_between
from distrib.nn.graph.graph import Graph
from distrib.nn.graph.symbolic import KerasTensor, Structure, leaves, map_leaves
from distrib.nn.layers.shapes import snake_case, unique_name
from distrib.nn.network import Network
from distrib.training.arguments.data_structure import DataStructure
from distrib.training.model import Model
from distrib.training.model_config import (
    MODEL_CLASSES,
    LayerMaker,
    layer_configs,
    made_calls,
    written_calls,
)
from distrib.training.model_layers import HasLayers
from distrib.training.summary import Row


class Functional(Model):
    """The model that computes `outputs` from `inputs`: what `Model(inputs, outputs)` returns.

    Belongs to the strategy whose scope is open when it is made. Layers and models may be in several models, and be
    applied several times in one: gradients add.

    Args:
        inputs: symbolic tensors: one, or a list, tuple or dict of several.
        outputs: symbolic tensors that are computed from them, likewise.
        trainable: whether an optimizer may update the model's variables.
        name: name of the model.
        dtype: see `Sequential`.
        seed: see `Sequential`.

    Attributes:
        input_names: names of the inputs, by which a dict of data finds them.
        output_names: names of the outputs: those of the layers that compute them, or the keys of a dict.

    Raises:
        ConfigError: something else than symbolic tensors, outputs that need other inputs, or a name that comes twice.
    """

    def __init__(
        self,
        inputs: Structure,
        outputs: Structure,
        trainable: bool = True,
        name: str | None = None,
        dtype: str | np.dtype[Any] = "float32",
        seed: int | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype, seed=seed)
        self._given_inputs, self._given_outputs = inputs, outputs
        for what, structure in (("inputs", inputs), ("outputs", outputs)):
            others = [each for each in leaves(structure) if not isinstance(each, KerasTensor)]
            if others or not list(leaves(structure)):
                raise ConfigError(
                    f"Model expects {what} to be symbolic tensors, from Input and from layers called on it. "
                    f"Received: {others[0] if others else structure!r}."
                )
        self._nodes = nodes_between(self.inputs, self.outputs)
        self._layers = self._named()
        self._name_of = {id(layer): name for name, layer in self._layers.items()}
        self.input_names = _names_in(
            inputs, [self._name_of.get(id(t.node.callee), t.name) for t in self.inputs]
        )
        self.output_names = _names_in(outputs, [self._name_of[id(t.node.callee)] for t in self.outputs])
        if not trainable:
            self.trainable = False
        self._built()

    def _named(self) -> dict[str, Any]:
        """The layers by their names in this model; those made without one are numbered as they were made."""
        layers = callees_of(self._nodes)
        names: dict[int, str] = {}
        for layer in layers:
            if getattr(layer, "is_named", True):
                if layer.name in names.values():
                    raise ConfigError(
                        f"All layers of a model have names of their own. Received twice: '{layer.name}'."
                    )
                names[id(layer)] = layer.name
        for layer in sorted(layers, key=lambda each: getattr(each, "serial", 0)):
            if id(layer) not in names:
                names[id(layer)] = unique_name(snake_case(type(layer).__name__), names.values())
                layer.name = layer.name or names[id(layer)]
        return {names[id(layer)]: layer for layer in layers}

    def _built(self, example_shape: Shape | None = None) -> Network:
        if self._network is None:
            self._network = self._network_of(self.graph_for([each.example_shape for each in self.inputs]))
        return self._network

    def build(self, input_shape: Any = None) -> None:
        """Make the variables. They exist since the model was made."""

    def graph_for(self, input_shapes: Sequence[Shape]) -> Graph:
        """The layers of this model; see `HasLayers.graph_for`."""
        self.symbolic_outputs(list(input_shapes))
        return graph_of(self.inputs, self.outputs, self._nodes, lambda layer: self._name_of[id(layer)])

    def symbolic_outputs(self, input_shapes: list[Shape]) -> Any:
        """The shapes of the outputs; see `Layer.symbolic_outputs`. Raises `ShapeError` for other inputs."""
        expected = [each.example_shape for each in self.inputs]
        if input_shapes != expected:
            raise ShapeError(
                f"Model '{self.name}' takes inputs of shapes {[(None, *shape) for shape in expected]}. "
                f"Received: {[(None, *shape) for shape in input_shapes]}."
            )
        return map_leaves(lambda tensor: tensor.example_shape, self._given_outputs)

    @property
    def known_input_shape(self) -> Shape | None:
        """Shape of one example of the only input; None where there are several."""
        return self.inputs[0].example_shape if len(self.inputs) == 1 else None

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic tensors of the inputs."""
        return list(leaves(self._given_inputs))

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic tensors of the outputs."""
        return list(leaves(self._given_outputs))

    @property
    def input(self) -> Structure:
        """The symbolic tensors of the inputs, in the structure in which they were given."""
        return self._given_inputs

    @property
    def output(self) -> Structure:
        """The symbolic tensors of the outputs, in the structure in which they were given."""
        return self._given_outputs

    @property
    def data_structure(self) -> DataStructure:
        """How data for inputs and outputs is named."""
        return DataStructure(tuple(self.input_names), tuple(self.output_names))

    def _returned(self, outputs: Sequence[Array]) -> Any:
        """Outputs in the structure in which they were given."""
        rest = iter(outputs)
        return map_leaves(lambda tensor: next(rest), self._given_outputs)

    def get_config(self) -> dict[str, Any]:
        """The layers and their calls, as JSON values; see `from_config`."""
        calls, write = written_calls(self._nodes, self._name_of)
        return {
            "class": "Functional",
            "name": self.name,
            "trainable": self.trainable,
            "dtype": self.dtype.name,
            "layers": layer_configs(self.named_layers),
            "calls": calls,
            "inputs": write(self.input),
            "outputs": write(self.output),
        }

    @classmethod
    def made(cls, config: Mapping[str, Any], maker: LayerMaker) -> Functional:
        """The model that `get_config` has described. Raises `ConfigError` for layers that are not built in."""
        layers = {each["name"]: maker(each) for each in config["layers"]}
        read = made_calls(config["calls"], layers)
        inputs, outputs = read(config["inputs"]), read(config["outputs"])
        model = cls(inputs, outputs, name=config["name"], dtype=config["dtype"], seed=maker.seed)
        model.set_trainable_alone(bool(config["trainable"]))
        return model

    def _summary_rows(self) -> list[Row]:
        calls: dict[int, int] = {}
        produced: dict[int, str] = {}
        by_layer: dict[int, list[str]] = {}
        for node in self._nodes:
            name = self._name_of[id(node.callee)]
            number = calls.get(id(node.callee), 0)
            calls[id(node.callee)] = number + 1
            for index, tensor in enumerate(node.outputs):
                produced[id(tensor)] = f"{name}[{number}][{index}]"
            by_layer.setdefault(id(node.callee), []).extend(
                produced.get(id(each), each.name) for each in node.inputs
            )
        rows, seen = [], set()
        is_chain = all(len(sources) <= 1 for sources in by_layer.values()) and len(self.inputs) == 1
        for node in self._nodes:
            layer = node.callee
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            shapes = tuple(each.example_shape for each in node.outputs)
            nested = tuple(layer._summary_rows()) if isinstance(layer, HasLayers) else ()
            connected = None if is_chain else tuple(by_layer[id(layer)])
            rows.append(Row(layer, self._name_of[id(layer)], shapes, connected, nested))
        return rows


Model.of_tensors = Functional
MODEL_CLASSES["Functional"] = Functional


def _names_in(structure: Structure, names: list[str]) -> list[str]:
    """The keys of a dict of tensors; else the names, those that come twice numbered."""
    if isinstance(structure, Mapping):
        return [str(key) for key in structure]
    taken: list[str] = []
    for name in names:
        taken.append(unique_name(name, taken))
    return taken
