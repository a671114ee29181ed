"""The configuration of a model, as Keras writes it.

Keras writes the calls of a layer with the layer (`inbound_nodes`), and a tensor as `keras_history`: which output of
which call of which layer. distrib writes the calls in the order in which they can be made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrib.formats.keras.objects import layer_config_to_keras, written
from distrib.nn.layers.registry import REGISTRY as LAYERS

_TENSOR = "tensor"
_MODULES = {"Sequential": "keras", "Functional": "keras.src.models.functional"}


def model_to_keras(config: Mapping[str, Any]) -> dict[str, Any]:
    """A model as Keras writes it.

    Args:
        config: as `Model.get_config` returned it.

    Raises:
        ConfigError: it has a layer that Keras does not have.
    """
    name, dtype = config["class"], config["dtype"]
    inner = {"name": config["name"], "trainable": config["trainable"], "dtype": _policy(dtype)}
    if name == "Sequential":
        layers = [layer_to_keras(each, dtype) for each in config["layers"]]
        if config["input_shape"] is not None:
            layers.insert(0, _input_to_keras("input_layer", config["input_shape"], dtype))
            inner["build_input_shape"] = [None, *config["input_shape"]]
        return written(_MODULES[name], name, inner | {"layers": layers})
    nodes: dict[str, list[Any]] = {each["name"]: [] for each in config["layers"]}
    for layer, inputs, training in config["calls"]:
        kwargs = {} if training is None else {"training": training}
        nodes[layer].append({"args": [_tensors_to_keras(inputs, dtype)], "kwargs": kwargs})
    layers = [
        layer_to_keras(each, dtype) | {"name": each["name"], "inbound_nodes": nodes[each["name"]]}
        for each in config["layers"]
    ]
    ends = {
        "input_layers": _history(config["inputs"]),
        "output_layers": _history(config["outputs"]),
    }
    return written(_MODULES[name], name, inner | {"layers": layers} | ends)


def _policy(dtype: str) -> dict[str, Any]:
    return written("keras", "DTypePolicy", {"name": dtype})


def layer_to_keras(config: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """A layer, or a model that is one, as Keras writes it."""
    name = config["class"]
    if name in _MODULES:
        return model_to_keras(config)
    if name == "InputLayer":
        return _input_to_keras(config["name"], config["shape"], config["dtype"])
    found = layer_config_to_keras(LAYERS.classes.get(name), config)
    described = {"name": config["name"], "trainable": config["trainable"], "dtype": _policy(dtype)}
    return written("keras.layers" if name in LAYERS.classes else None, name, described | found)


def _input_to_keras(name: str, shape: Any, dtype: str) -> dict[str, Any]:
    config = {"batch_shape": [None, *shape], "dtype": dtype, "sparse": False, "ragged": False, "name": name}
    return written("keras.layers", "InputLayer", config)


def _tensors_to_keras(structure: Any, dtype: str) -> Any:
    if isinstance(structure, list):
        return [_tensors_to_keras(each, dtype) for each in structure]
    if set(structure) != {_TENSOR}:
        return {key: _tensors_to_keras(each, dtype) for key, each in structure.items()}
    # Keras takes the tensor that is there, and not this shape.
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": [None], "dtype": dtype, "keras_history": structure[_TENSOR]},
    }


def _history(structure: Any) -> Any:
    if isinstance(structure, list):
        return [_history(each) for each in structure]
    if set(structure) != {_TENSOR}:
        return {key: _history(each) for key, each in structure.items()}
    return structure[_TENSOR]
