"""Sequential: layers in a row. Building and reading it happen on this replica alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distrib.base.arrays import Shape
from distrib.base.errors import ConfigError, ShapeError
from distrib.nn.graph.from_tensors import graph_of, nodes_between
from distrib.nn.graph.graph import Graph
from distrib.nn.graph.symbolic import KerasTensor, Node, call
from distrib.nn.layers.core.input import InputLayer
from distrib.nn.layers.layer import Layer
from distrib.nn.layers.shapes import check_shape, snake_case, unique_name
from distrib.nn.network import Network
from distrib.training.model import Model
from distrib.training.model_config import MODEL_CLASSES, LayerMaker, layer_configs
from distrib.training.model_layers import HasLayers
from distrib.training.summary import Row


class Sequential(Model):
    """Layers in a row, with Keras' `compile`, `fit`, `evaluate` and `predict`.

    Belongs to the strategy whose scope is open when it is made.

    Layers may be in other models too. They keep their values, and models that share layers, under the same or another
    strategy, can be trained in turns: each begins with what the others have made of them. A model may be a layer.

    Args:
        layers: the layers, in order; more can be added.
        trainable: whether an optimizer may update the model's variables.
        name: name of the model.
        dtype: `"float32"` or `"float64"`, for variables and computation.
        seed: seed of initial values, dropout masks and shuffling; by default that of `set_random_seed`.

    Raises:
        ConfigError: an unknown dtype, or layers that do not make a model.
        ShapeError: layers that do not fit together.
    """

    def __init__(
        self,
        layers: Sequence[Any] | None = None,
        trainable: bool = True,
        name: str | None = None,
        dtype: str | np.dtype[Any] = "float32",
        seed: int | None = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype, seed=seed)
        self._input: InputLayer | None = None  # as declared
        self._ends: tuple[KerasTensor, KerasTensor] | None = None  # of the graph, once there is one
        self._nodes: list[Node] = []  # the calls between them
        for layer in layers or ():
            self.add(layer)
        if not trainable:
            self.trainable = False

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Append a layer, or a model. One that has weights keeps them, and so do the layers before it.

        A layer that was made without a name is numbered within the model: `dense`, `dense_1`. What the optimizer has
        learnt does not fit any more, so a model that was trained must be compiled again.

        Args:
            layer: the layer, a model with one input and one output, or first of all `Input(shape)`.
            rebuild: accepted for Keras' sake.

        Raises:
            ConfigError: not a layer, a name that is taken, an `Input` that is not the first, or the model is
                being trained.
            ShapeError: it does not fit behind the layers before it.
        """
        if isinstance(layer, KerasTensor) and isinstance(layer.node.callee, InputLayer):
            layer = layer.node.callee
        if not isinstance(layer, Layer | HasLayers):
            raise ConfigError(
                f"Sequential expects layers. Received: {layer!r} of type {type(layer).__name__}."
            )
        self._check_not_training("add")
        if isinstance(layer, InputLayer):
            if self._layers or self._input is not None:
                raise ConfigError(
                    "Input declares the shape of the model's inputs and must be its first layer."
                )
            self._input = layer
            return
        if any(layer is each for each in self._layers.values()):
            raise ConfigError(f"Layer '{layer.name}' is in model '{self.name}' already. Make another one.")
        name = layer.name
        if not getattr(layer, "is_named", True):
            name = unique_name(snake_case(type(layer).__name__), self._layers)
        elif name in self._layers:
            raise ConfigError(f"All layers of a model have names of their own. Received twice: '{name}'.")
        layers = {**self._layers, name: layer}
        shape = self._declared_shape(layers)
        if shape is not None:
            self._output_shapes(layers, [shape])
        layer.name = layer.name or name
        self._change(layers)

    def pop(self, rebuild: bool = True) -> Any:
        """Take the last layer away, and return it. As for `add`, the others keep their weights.

        Args:
            rebuild: accepted for Keras' sake.

        Raises:
            ConfigError: there is none, or the model is being trained.
        """
        self._check_not_training("pop")
        if not self._layers:
            raise ConfigError(f"Model '{self.name}' has no layers.")
        layers = dict(self._layers)
        _, layer = layers.popitem()
        self._change(layers)
        return layer

    def _change(self, layers: dict[str, Any]) -> None:
        """Go on with other layers."""
        self._layers = layers
        for node in self._nodes:
            if not node.inputs:
                continue
            node.callee.nodes[:] = [each for each in node.callee.nodes if each is not node]
        self._nodes, self._ends = [], None
        if self._network is not None:
            self._network = None
            self._session.forget()
            compiled = self._session.compile_config
            if compiled is not None and compiled.optimizer.iterations:
                self._session.compile_config = None

    def _output_shapes(self, layers: Mapping[str, Any], shapes: list[Shape]) -> list[Shape]:
        """What comes out of these layers. Raises `ShapeError` if they do not fit together."""
        for layer in layers.values():
            if isinstance(layer, Layer):
                layer.check_built_for(shapes[0], self.dtype)
            outputs = layer.symbolic_outputs(shapes)
            if not isinstance(outputs, tuple):
                raise ConfigError(
                    f"Sequential expects layers with one output. Received: '{layer.name}' with {len(outputs)}. Use "
                    "Model(inputs, outputs)."
                )
            shapes = [outputs]
        return shapes

    def symbolic_outputs(self, input_shapes: list[Shape]) -> Any:
        """The shape of one example of the output; see `Layer.symbolic_outputs`."""
        if len(input_shapes) != 1:
            raise ShapeError(f"Model '{self.name}' takes one input. Received: {len(input_shapes)}.")
        return self._output_shapes(self._layers, input_shapes)[0]

    def graph_for(self, input_shapes: Sequence[Shape]) -> Graph:
        """The layers of this model, for inputs of this shape; see `HasLayers.graph_for`."""
        (shape,) = input_shapes
        if self._ends is not None and self._ends[0].example_shape != shape:
            if any(layer.variables for layer, _ in self.leaf_layers()):
                raise ShapeError(
                    f"Model '{self.name}' is built for inputs of shape {(None, *self._ends[0].example_shape)}. "
                    f"Received: {(None, *shape)}."
                )
            self._change(self._layers)
        if self._ends is None:
            if not self._layers:
                raise ConfigError(f"Model '{self.name}' has no layers. Add some first.")
            given = self._input or InputLayer(shape)
            tensor = begin = given.tensor
            self._output_shapes(self._layers, [shape])
            for layer in self._layers.values():
                tensor = call(layer, tensor)
            self._ends, self._nodes = (begin, tensor), nodes_between([begin], [tensor])
        begin, end = self._ends
        names = {id(layer): name for name, layer in self._layers.items()}
        return graph_of([begin], [end], self._nodes, lambda layer: names[id(layer)])

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Make the variables.

        Args:
            input_shape: shape of a batch, its first size None: `(None, 784)`.

        Raises:
            ShapeError: the layers do not fit together.
            ConfigError: no layers.
        """
        if input_shape is None:
            self._built()
        else:
            self._build(check_shape(tuple(input_shape)[1:]))

    def _build(self, input_shape: Shape) -> Network:
        if self._network is None:
            self._network = self._network_of(self.graph_for([input_shape]))
        return self._network

    def _built(self, example_shape: Shape | None = None) -> Network:
        if self._network is not None:
            return self._network
        shape = self._declared_shape(self._layers)
        shape = example_shape if shape is None else shape
        if shape is None and self._ends is not None:
            shape = self._ends[0].example_shape
        if shape is None:
            raise ConfigError(
                f"Model '{self.name}' is not built: its input shape is unknown. Begin with Input((784,)), pass "
                "input_shape= to the first layer, or call build((None, 784))."
            )
        return self._build(shape)

    def _declared_shape(self, layers: Mapping[str, Any]) -> Shape | None:
        """Shape of one example: as declared, or as the first layer's weights have it; None if nothing says so."""
        if self._input is not None:
            return self._input.declared_input_shape
        first = next(iter(layers.values()), None)
        if isinstance(first, Layer):
            if first.declared_input_shape is not None:
                return first.declared_input_shape
            return first.input_shape if first.variables else None
        return None if first is None else first.known_input_shape

    @property
    def known_input_shape(self) -> Shape | None:
        """Shape of one example, as far as it is known without data."""
        return self._ends[0].example_shape if self._ends is not None else self._declared_shape(self._layers)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic tensor of the input."""
        self._built()
        assert self._ends is not None
        return [self._ends[0]]

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic tensor of the output."""
        self._built()
        assert self._ends is not None
        return [self._ends[1]]

    @property
    def input(self) -> KerasTensor:
        """The symbolic tensor of the input."""
        return self.inputs[0]

    @property
    def output(self) -> KerasTensor:
        """The symbolic tensor of the output."""
        return self.outputs[0]

    def get_config(self) -> dict[str, Any]:
        """The layers, as JSON values; see `from_config`."""
        shape = self.known_input_shape
        return {
            "class": "Sequential",
            "name": self.name,
            "trainable": self.trainable,
            "dtype": self.dtype.name,
            "input_shape": None if shape is None else list(shape),
            "layers": layer_configs(self.named_layers),
        }

    @classmethod
    def made(cls, config: Mapping[str, Any], maker: LayerMaker) -> Sequential:
        """The model that `get_config` has described. Raises `ConfigError` for layers that are not built in."""
        model = cls(name=config["name"], dtype=config["dtype"], seed=maker.seed)
        if config["input_shape"] is not None:
            model.add(InputLayer(config["input_shape"]))
        for each in config["layers"]:
            model.add(maker(each))
        model.set_trainable_alone(bool(config["trainable"]))
        return model

    def _summary_rows(self) -> list[Row]:
        rows = []
        names = {id(layer): name for name, layer in self._layers.items()}
        self._built()
        for node in self._nodes:
            if node.inputs:
                shapes = tuple(each.example_shape for each in node.outputs)
                nested = node.callee._summary_rows() if isinstance(node.callee, HasLayers) else ()
                rows.append(Row(node.callee, names[id(node.callee)], shapes, None, tuple(nested)))
        return rows


MODEL_CLASSES["Sequential"] = Sequential
