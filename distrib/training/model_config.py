"""The configurations of layers and models, as JSON values, and making them again.

    {"class": "Functional", "name": ..., "layers": [...], "calls": [...], "inputs": ..., "outputs": ...}

A call is `[layer, inputs, training]`. Tensors are written `{"tensor": [layer, call, output]}`: which output of which
call of a layer, by its name in the model. A model that is a layer is written in the same way within the outer one.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distrib.base.arguments import checked
from distrib.base.errors import ConfigError, DistribError
from distrib.nn.custom_objects import custom_object_scope, get_registered_object
from distrib.nn.graph.symbolic import KerasTensor, Node, map_leaves
from distrib.nn.layers import registry
from distrib.nn.layers.core.input import InputLayer

_TENSOR = "tensor"

MODEL_CLASSES: dict[str, Any] = {}
"""The classes of models by name. Each has `get_config`, and `made(config, maker)`."""


class LayerMaker:
    """Makes layers and models of their configurations.

    Args:
        seed: of the models.
        make: makes a layer that is no model.
        max_elements: a variable is not made with more of them.

    Attributes:
        layers: those that it has made, but for inputs and models.
    """

    def __init__(
        self,
        seed: int | None = None,
        make: Callable[[Mapping[str, Any]], Any] = registry.from_config,
        max_elements: float = math.inf,
    ) -> None:
        self.seed, self._make, self._max_elements = seed, make, max_elements
        self.layers: list[Any] = []

    def __call__(self, config: Mapping[str, Any]) -> Any:
        """The layer or model. Raises `ConfigError` for one that is not built in."""
        model_class = model_class_of(config)
        if model_class is not None:
            if hasattr(model_class, "made"):
                return model_class.made(config, self)
            return made_own(model_class, config, self.seed)
        if config.get("class") == "InputLayer":
            return InputLayer(config["shape"], dtype=config["dtype"], name=config["name"])
        layer = self._make(config)
        layer.max_elements = self._max_elements
        self.layers.append(layer)
        return layer


def model_class_of(config: Mapping[str, Any]) -> Any:
    """The class of a model that a configuration names, built in or registered; None if it is no model's."""
    name = str(config.get("class"))
    found = MODEL_CLASSES.get(name)
    if found is None:
        registered = get_registered_object(name)
        found = registered if hasattr(registered, "graph_for") else None
    return found


def made_own(model_class: Any, config: Mapping[str, Any], seed: int | None) -> Any:
    """A model of a user's own class, made with those of the values that its constructor takes."""
    arguments = {
        name: value for name, value in config.items() if name not in ("class", "built_for", "input_shape")
    }
    parameters = inspect.signature(model_class.__init__).parameters
    if not any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        arguments = {name: value for name, value in arguments.items() if name in parameters}
    model = model_class(**arguments)
    if seed is not None:
        model.use_seed(seed)
    return model


def made_of(config: Any, call: str) -> Any:
    """The layer or model of a configuration that comes from outside.

    Args:
        config: perhaps none.
        call: what received it, for the error message.

    Raises:
        ConfigError: it is none, or of what is not built in.
    """
    try:
        return LayerMaker()(config)
    except DistribError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{call} expects what get_config has returned: {error!r}.") from None


def layer_configs(named_layers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The configurations of the layers of a model, with the names that they have in it."""
    return [layer.get_config() | {"name": name} for name, layer in named_layers.items()]


def written_calls(nodes: Sequence[Node], names: Mapping[int, str]) -> tuple[list[Any], Callable[[Any], Any]]:
    """The calls of a graph, and what writes tensors.

    Args:
        nodes: each behind those whose outputs it takes.
        names: `id` of what is called -> its name in the model.
    """
    written: dict[int, dict[str, list[Any]]] = {}
    counts: dict[str, int] = {}
    calls = []
    for node in nodes:
        name = names[id(node.callee)]
        call, counts[name] = counts.get(name, 0), counts.get(name, 0) + 1
        for index, tensor in enumerate(node.outputs):
            written[id(tensor)] = {_TENSOR: [name, call, index]}
        if node.inputs:
            calls.append([name, map_leaves(lambda each: written[id(each)], node.arguments), node.training])
    return calls, lambda structure: map_leaves(lambda each: written[id(each)], structure)


def made_calls(calls: Sequence[Any], layers: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Make the calls of a graph; returns what reads tensors.

    Args:
        calls: as `written_calls` returned them.
        layers: by name.

    Raises:
        ConfigError: calls of no layer of the model, or on tensors that there are not.
    """
    made: dict[tuple[str, int], tuple[KerasTensor, ...]] = {
        (name, 0): (layer.tensor,) for name, layer in layers.items() if isinstance(layer, InputLayer)
    }

    def read(structure: Any) -> Any:
        if isinstance(structure, Mapping):
            if set(structure) != {_TENSOR}:
                return {key: read(each) for key, each in structure.items()}
            name, call, index = structure[_TENSOR]
            if (name, call) not in made:
                raise ConfigError(f"Expected the output of a call before. Received: {structure}.")
            return made[name, call][index]
        if not isinstance(structure, list):
            raise ConfigError(f"Expected tensors, in a list or dict. Received: {structure!r}.")
        return [read(each) for each in structure]

    counts: dict[str, int] = {}
    for name, arguments, training in calls:
        if name not in layers:
            raise ConfigError(f"Expected a call of a layer of the model. Received: {name!r}.")
        before = len(layers[name].nodes)
        layers[name](read(arguments), training=training)
        call, counts[name] = counts.get(name, 0), counts.get(name, 0) + 1
        made[name, call] = layers[name].nodes[before].outputs
    return read


@checked
def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The model that `Model.to_json` has described, with values that are drawn anew. It is not compiled.

    Args:
        json_string: as `to_json` returned it.
        custom_objects: classes of one's own by name.

    Raises:
        ConfigError: it is no JSON, or has layers that are not built in.
    """
    try:
        config = json.loads(json_string)
    except ValueError as error:
        raise ConfigError(f"model_from_json expects what to_json has returned: {error}.") from None
    with custom_object_scope(custom_objects or {}):
        return made_of(config, "model_from_json")


@checked
def clone_model(model: Any, input_tensors: Any = None, clone_function: Any = None) -> Any:
    """A model with the same layers, and values that are drawn anew. It is not compiled.

    Args:
        model: `Sequential` or `Model(inputs, outputs)`.
        input_tensors: not supported: call the clone on them instead.
        clone_function: called with each layer, but for inputs and models; returns what stands in its place. By
            default a layer with the same configuration.

    Raises:
        ConfigError: `input_tensors`, or a layer that cannot be made again.
    """
    if input_tensors is not None:
        raise ConfigError("clone_model does not support input_tensors. Call the clone on them instead.")
    rest = iter([layer for layer, _ in model.leaf_layers()])
    make = registry.from_config if clone_function is None else lambda config: clone_function(next(rest))
    return LayerMaker(make=make)(model.get_config())
