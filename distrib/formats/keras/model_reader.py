"""The configuration of a model, as distrib writes it, from that of Keras.

Keras writes the calls of a layer with the layer (`inbound_nodes`), and a tensor as `keras_history`: which output of
which call of which layer. distrib writes the calls in the order in which they can be made. Keras 2 writes the
same as Keras 3 in lists; it is read, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from distrib.base.errors import ConfigError, StorageError
from distrib.formats.keras.objects import class_and_config, layer_config_from_keras
from distrib.nn.layers.registry import REGISTRY as LAYERS
from distrib.nn.layers.shapes import snake_case

_TENSOR = "tensor"
_MODELS = {"Sequential": "Sequential", "Functional": "Functional", "Model": "Functional"}
_DTYPES = ("float32", "float64")
_MAX_DEPTH = 16


def model_from_keras(value: Any) -> dict[str, Any]:
    """A model as distrib writes it.

    Args:
        value: as Keras writes it, of version 2 or 3.

    Raises:
        ConfigError: layers or arguments that are not supported.
        StorageError: it is no configuration of a model.
    """
    try:
        found = _model_from_keras(value, 0)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise StorageError(f"The configuration of the model is damaged: {error!r}") from None
    dtypes = sorted(set(_dtypes(value, 0)))
    if len(dtypes) > 1 or not set(dtypes) <= set(_DTYPES):
        raise ConfigError(f"Models compute in one dtype, float32 or float64. Received: {', '.join(dtypes)}.")
    _set_dtype(found, dtypes[0] if dtypes else "float32")
    return found


def _dtypes(value: Any, depth: int) -> Iterator[str]:
    """The dtypes of the layers that are no inputs; inputs may be of any, which is converted."""
    _, config = class_and_config(value, "model")
    layers = config.get("layers", [])
    for each in layers:
        name, inner = class_and_config(each, "layer")
        if name in _MODELS and depth < _MAX_DEPTH:
            yield from _dtypes(each, depth + 1)
        elif name != "InputLayer":
            dtype = inner.get("dtype")
            if isinstance(dtype, Mapping):
                dtype = dict(dtype.get("config", {})).get("name")
            if dtype is not None:
                yield str(dtype)


def _set_dtype(config: dict[str, Any], dtype: str) -> None:
    config["dtype"] = dtype
    for each in config["layers"]:
        if "layers" in each:
            _set_dtype(each, dtype)


def _model_from_keras(value: Any, depth: int) -> dict[str, Any]:
    if depth > _MAX_DEPTH:
        raise StorageError(f"Models lie in one another, more than {_MAX_DEPTH} deep.")
    class_name, config = class_and_config(value, "model")
    if class_name not in _MODELS:
        raise ConfigError(
            f"Expected a model of layers, Sequential or Model(inputs, outputs). Received: the class {class_name}."
        )
    if class_name == "Sequential" and isinstance(value["config"], list):  # of the first versions
        config = {"layers": value["config"]}
    made = {
        "class": _MODELS[class_name],
        "name": str(config.get("name", snake_case(class_name))),
        "trainable": bool(config.get("trainable", True)),
        "dtype": "float32",
    }
    if class_name == "Sequential":
        return made | _in_a_row(config, depth)
    return made | _graph(config, depth)


def _in_a_row(config: Mapping[str, Any], depth: int) -> dict[str, Any]:
    layers: list[dict[str, Any]] = []
    shape = config.get("build_input_shape")
    for each in config["layers"]:
        name, inner = class_and_config(each, "layer")
        given = inner.get("batch_shape") or inner.get("batch_input_shape")
        if not layers and given is not None:
            shape = given
        if name != "InputLayer":
            layers.append(layer_from_keras(each, depth))
    return {"input_shape": None if shape is None else _example_shape(shape), "layers": layers}


def _example_shape(shape: Any) -> list[int]:
    sizes = list(shape)[1:]
    if not all(type(size) is int and size > 0 for size in sizes):
        raise ConfigError(f"Expected inputs of a fixed shape. Received: {shape}.")
    return sizes


def layer_from_keras(value: Any, depth: int = 0) -> dict[str, Any]:
    """A layer, or a model that is one, as distrib writes it. Raises `ConfigError` for what is not supported."""
    class_name, config = class_and_config(value, "layer")
    if class_name in _MODELS:
        return _model_from_keras(value, depth + 1)
    name = config.get("name") or value.get("name")
    if class_name == "InputLayer":
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        return {
            "class": "InputLayer",
            "name": name,
            "shape": _example_shape(shape),
            "dtype": str(config.get("dtype") or "float32"),
        }
    if class_name == "Lambda":
        raise ConfigError(
            f"The layer '{name}' is a Lambda, whose function lies in the file as code. It is not run, whatever "
            "safe_mode is. Make the model anew in your script, and load its weights."
        )
    cls = LAYERS.class_of({"class": class_name})
    owner = f"{class_name} '{name}'"
    return {
        "class": class_name,
        "name": name,
        "trainable": bool(config.get("trainable", True)),
        **layer_config_from_keras(
            cls, {k: v for k, v in config.items() if k not in ("name", "trainable")}, owner
        ),
    }


def _graph(config: Mapping[str, Any], depth: int) -> dict[str, Any]:
    layers, waiting = [], {}
    made: set[tuple[str, int]] = set()
    for each in config["layers"]:
        layer = layer_from_keras(each, depth)
        layer["name"] = name = str(each.get("name", layer["name"]))
        layers.append(layer)
        if layer["class"] == "InputLayer":
            made.add((name, 0))
        else:
            waiting[name] = [_call(node) for node in each["inbound_nodes"]]
    # Keras 2 writes lists, also of one tensor.
    is_old = any(isinstance(node, list) for each in config["layers"] for node in each["inbound_nodes"])
    ends = _ends(config["input_layers"], is_old), _ends(config["output_layers"], is_old)
    if is_old:
        shifts = _shifts([each["name"] for each in layers if "layers" in each], waiting, ends)
        waiting = {
            name: [(_shifted(inputs, shifts), training) for inputs, training in nodes]
            for name, nodes in waiting.items()
        }
        ends = _shifted(ends[0], shifts), _shifted(ends[1], shifts)
    calls: list[Any] = []
    counts = dict.fromkeys(waiting, 0)
    while any(waiting.values()):
        before = len(calls)
        for name, nodes in waiting.items():
            while nodes and set(_sources(nodes[0][0])) <= made:
                inputs, training = nodes.pop(0)
                calls.append([name, inputs, training])
                made.add((name, counts[name]))
                counts[name] += 1
        if len(calls) == before:
            raise StorageError("The calls of the model's layers wait for one another.")
    return {"layers": layers, "calls": calls, "inputs": ends[0], "outputs": ends[1]}


def _shifts(models: list[str], calls: Mapping[str, list[Any]], ends: tuple[Any, Any]) -> dict[str, int]:
    """The number of the first call of each model that is a layer.

    Keras 2 counts the making of such a model as its first call.
    """
    structures = [inputs for nodes in calls.values() for inputs, _ in nodes] + list(ends)
    first = {name for each in structures for name, call in _sources(each) if call == 0}
    return {name: int(name not in first) for name in models}


def _shifted(structure: Any, shifts: Mapping[str, int]) -> Any:
    if isinstance(structure, list):
        return [_shifted(each, shifts) for each in structure]
    if set(structure) != {_TENSOR}:
        return {key: _shifted(each, shifts) for key, each in structure.items()}
    name, call, output = structure[_TENSOR]
    return {_TENSOR: [name, call - shifts.get(name, 0), output]}


def _call(node: Any) -> tuple[Any, bool | None]:
    """What a call takes, and its `training`."""
    if isinstance(node, Mapping):
        args, kwargs = node["args"], dict(node["kwargs"])
        if len(args) != 1:
            raise ConfigError(f"Expected calls on one argument. Received: {len(args)}.")
        inputs = _tensors_from_keras(args[0])
    else:
        nodes = [node] if isinstance(node[0], str) else node
        tensors, kwargs = [{_TENSOR: [str(n), int(c), int(o)]} for n, c, o, *_ in nodes], {}
        for each in nodes:
            kwargs |= dict(each[3]) if len(each) > 3 else {}
        inputs = tensors if len(tensors) > 1 else tensors[0]
    training = kwargs.pop("training", None)
    other = {key: value for key, value in kwargs.items() if value is not None}
    if other:
        raise ConfigError(f"Expected calls without other arguments. Received: {', '.join(other)}.")
    return inputs, None if training is None else bool(training)


def _tensors_from_keras(structure: Any) -> Any:
    if isinstance(structure, list):
        return [_tensors_from_keras(each) for each in structure]
    if not isinstance(structure, Mapping):
        raise ConfigError(f"Expected calls on tensors. Received: {structure!r}.")
    if structure.get("class_name") != "__keras_tensor__":
        return {str(key): _tensors_from_keras(each) for key, each in structure.items()}
    name, call, output = structure["config"]["keras_history"]
    return {_TENSOR: [str(name), int(call), int(output)]}


def _ends(structure: Any, is_old: bool) -> Any:
    if isinstance(structure, Mapping):
        return {str(key): _ends(each, is_old) for key, each in structure.items()}
    if isinstance(structure, list) and len(structure) == 3 and isinstance(structure[0], str):
        return {_TENSOR: [structure[0], int(structure[1]), int(structure[2])]}
    found = [_ends(each, is_old) for each in structure]
    return found[0] if is_old and len(found) == 1 else found


def _sources(structure: Any) -> Iterator[tuple[str, int]]:
    if isinstance(structure, list):
        for each in structure:
            yield from _sources(each)
    elif set(structure) == {_TENSOR}:
        name, call, _ = structure[_TENSOR]
        yield name, call
    else:
        for each in structure.values():
            yield from _sources(each)
