"""Configurations of single objects, as Keras writes them and as distrib does.

    {"module": "keras.layers", "class_name": "Dense", "config": {...}, "registered_name": None}
    {"class": "Dense", ...}

The arguments have the same names, for distrib takes Keras'. Keras has some more, which are passed over where they say
nothing (None, False, empty); where one says something, there is an error that names it. distrib's configurations have
fields that are no arguments, which are left out for Keras.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from distrib.base.errors import ConfigError, StorageError
from distrib.nn import (
    activations,
    losses,
    optimizers,
)
from distrib.nn.activations.registry import REGISTRY as ACTIVATIONS
from distrib.nn.constraints import REGISTRY as CONSTRAINTS
from distrib.nn.custom_objects import get_registered_object
from distrib.nn.initializers import REGISTRY as INITIALIZERS
from distrib.nn.losses.registry import REGISTRY as LOSSES
from distrib.nn.metrics.registry import REGISTRY as METRICS
from distrib.nn.optimizers.registry import REGISTRY as OPTIMIZERS
from distrib.nn.regularizers import REGISTRY as REGULARIZERS
from distrib.nn.schedules.registry import REGISTRY as SCHEDULES

_SAYS_NOTHING: tuple[Any, ...] = (None, False, [], {}, "")
_RENAMED = {"LeakyReLU": {"alpha": "negative_slope"}}
"""Arguments of Keras 2 that have other names in Keras 3."""

_PASSED_OVER = {"dtype", "batch_input_shape", "batch_shape", "build_config"}
"""Models have one dtype, and layers are built with the shapes that they get."""


def takes(cls: type) -> dict[str, inspect.Parameter]:
    """The arguments of a class, those of its base included where it takes `**kwargs` for it."""
    found: dict[str, inspect.Parameter] = {}
    for each in cls.__mro__:
        if "__init__" in vars(each):
            own = list(inspect.signature(vars(each)["__init__"]).parameters.values())[1:]
            found = {parameter.name: parameter for parameter in own} | found
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own):
                break
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {name: parameter for name, parameter in found.items() if parameter.kind not in variadic}


def written(module: str | None, class_name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """An object as Keras writes it.

    Args:
        module: where Keras has it; None for a class of one's own.
        class_name: its name, or its registered name.
        config: its arguments.
    """
    return {
        "module": module,
        "class_name": class_name.rpartition(">")[2],
        "config": dict(config),
        "registered_name": class_name if module is None else None,
    }


def part_to_keras(module: str, registry: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """An object with a `"class"`, with those of its fields that are arguments."""
    cls = registry.classes.get(config["class"])
    known = [key for key in config if key != "class"] if cls is None else _known(cls, config)
    return written(module if cls is not None else None, config["class"], {key: config[key] for key in known})


def part_from_keras(registry: Any, what: str, value: Any) -> dict[str, Any]:
    """An object as distrib writes it.

    Raises:
        ConfigError: not a built-in class, or it has an argument that says something and is not supported.
    """
    if isinstance(value, str):
        made = registry.get(value)
        return {"class": type(made).__name__, **made.get_config()} if hasattr(made, "get_config") else {}
    class_name, config = class_and_config(value, what)
    cls = registry.class_of({"class": class_name})
    return {"class": class_name, **arguments(cls, config, f"{what} {class_name}")}


def class_and_config(value: Any, what: str) -> tuple[str, dict[str, Any]]:
    """Class name and configuration of an object as Keras writes it. Raises `StorageError` for anything else."""
    if not isinstance(value, Mapping) or not isinstance(value.get("class_name"), str):
        raise StorageError(f"Expected the configuration of a {what}. Received: {str(value)[:80]}.")
    config = value.get("config")
    class_name = value["class_name"]
    registered = value.get("registered_name")
    if isinstance(registered, str) and get_registered_object(registered) is not None:
        class_name = registered
    elif get_registered_object(class_name) is None:
        class_name = class_name.removeprefix("Custom>")  # Keras 2 registers its own optimizers so
    renamed = _RENAMED.get(class_name, {})
    inner = dict(config) if isinstance(config, Mapping) else {}
    return class_name, {renamed.get(key, key): argument for key, argument in inner.items()}


def arguments(cls: type, config: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Those of a configuration of Keras that a class takes. Raises `ConfigError` for others that say something."""
    known, found = takes(cls), {}
    if cls.__module__.partition(".")[0] != "distrib":
        return {key: value for key, value in config.items() if key not in _PASSED_OVER}
    for key, value in config.items():
        if key == "name" and value is None:
            continue  # the usual one
        if key in known and key not in _PASSED_OVER:
            found[key] = value
        elif key not in _PASSED_OVER and value not in _SAYS_NOTHING:
            raise ConfigError(f"{owner}: {key}={value!r} is not supported.")
    return found


def activation_to_keras(config: Mapping[str, Any]) -> str:
    """The name of an activation. Raises `ConfigError` where it has arguments of its own: Keras writes names only."""
    for name, cls in ACTIVATIONS.named.items():
        if cls.__name__ == config["class"]:
            usual = ACTIVATIONS.get(name)
            if {"class": cls.__name__, **usual.get_config()} != dict(config):
                raise ConfigError(
                    f"Keras cannot write the activation {config}: it keeps the name only. Use the layer of that name."
                )
            return name
    raise ConfigError(f"Keras has no activation {config['class']}.")


def _activation(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        inner = value.get("config")  # of a function, its name
        value = inner if isinstance(inner, str) else class_and_config(value, "activation")[0]
    made = activations.get(str(value))
    return {"class": type(made).__name__, **made.get_config()}


_Part = tuple[Callable[[Any], Any], Callable[[Any], Any]]


def _of(module: str, registry: Any, what: str) -> _Part:
    return (
        lambda config: part_to_keras(f"keras.{module}", registry, config),
        lambda value: part_from_keras(registry, what, value),
    )


_PARTS: dict[str, _Part] = {
    "activation": (activation_to_keras, _activation),
    "constraint": _of("constraints", CONSTRAINTS, "constraint"),
    "initializer": _of("initializers", INITIALIZERS, "initializer"),
    "regularizer": _of("regularizers", REGULARIZERS, "regularizer"),
}
"""How the parts of layers are written and read, by the last word of their argument."""


def layer_config_to_keras(cls: type | None, config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a layer, as Keras writes them; of a class of one's own (None) all of its configuration."""
    known, found = _known(cls, config), {}
    for key in known:
        part, value = _PARTS.get(key.rpartition("_")[2]), config[key]
        found[key] = part[0](value) if part is not None and isinstance(value, Mapping) else value
    return found


def _known(cls: type | None, config: Mapping[str, Any]) -> list[str]:
    if cls is None:
        return [key for key in config if key not in ("class", "name", "trainable")]
    known = takes(cls)
    return [key for key in config if key in known]


def layer_config_from_keras(cls: type, config: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """The arguments of a layer, as distrib writes them. Raises `ConfigError` for what is not supported."""
    found = arguments(cls, config, owner)
    for key, value in found.items():
        part = _PARTS.get(key.rpartition("_")[2])
        if part is not None and value is not None:
            found[key] = part[1](value)
    return found


def optimizer_to_keras(config: Mapping[str, Any]) -> dict[str, Any]:
    """An optimizer, as Keras writes it."""
    made = part_to_keras("keras.optimizers", OPTIMIZERS, config)
    rate = made["config"]["learning_rate"]
    if isinstance(rate, Mapping):
        made["config"]["learning_rate"] = part_to_keras("keras.optimizers.schedules", SCHEDULES, rate)
    return made


def optimizer_from_keras(value: Any) -> dict[str, Any]:
    """An optimizer, as distrib writes it. Raises `ConfigError` for one that is not built in."""
    class_name, config = class_and_config(value, "optimizer")
    rate = config.get("learning_rate")
    if isinstance(rate, Mapping):
        config["learning_rate"] = part_from_keras(SCHEDULES, "schedule", rate)
    elif isinstance(rate, float):
        config["learning_rate"] = shortest(rate)
    for key in ("jit_compile", "is_legacy_optimizer"):  # of Keras 2
        config.pop(key, None)
    made = optimizers.from_config(
        {"class": class_name, **arguments(OPTIMIZERS.class_of({"class": class_name}), config, class_name)}
    )
    return made.get_config()


def shortest(number: float) -> float:
    """A number that was rounded to float32, as it was before: 0.01, and not 0.009999999776482582."""
    return float(str(np.float32(number)))


def loss_to_keras(config: Mapping[str, Any]) -> dict[str, Any]:
    """A loss, as Keras writes it."""
    return part_to_keras("keras.losses", LOSSES, config)


def loss_from_keras(value: Any) -> dict[str, Any]:
    """A loss, as distrib writes it. Raises `ConfigError` for one that is not built in."""
    if isinstance(value, Mapping) and isinstance(value.get("config"), str):
        value = value["config"]  # a function, by its name
    if isinstance(value, Mapping) and isinstance(value.get("config"), Mapping):
        config = {key: argument for key, argument in value["config"].items() if key != "fn"}  # of Keras 2
        if config.get("reduction") == "auto":
            del config["reduction"]
        value = {**value, "config": config}
    return (
        losses.get(value).get_config()
        if isinstance(value, str)
        else _made(LOSSES, "loss", value).get_config()
    )


def metric_to_keras(config: Any) -> Any:
    """A metric, as Keras writes it."""
    if isinstance(config, Mapping) and config["class"] == "MeanMetricWrapper":
        registered = str(config["fn"])
        name = registered.rpartition(">")[2].rpartition(".")[2]
        return {"module": "builtins", "class_name": "function", "config": name, "registered_name": registered}
    return config if isinstance(config, str) else part_to_keras("keras.metrics", METRICS, config)


def metric_from_keras(value: Any) -> Any:
    """A metric, as distrib writes it. Raises `ConfigError` for one that is not built in."""
    if isinstance(value, Mapping) and isinstance(value.get("config"), str):
        registered = str(value.get("registered_name"))
        value = registered if get_registered_object(registered) is not None else value["config"]
    if isinstance(value, Mapping) and value.get("class_name") == "MeanMetricWrapper":
        value = str(value["config"]["fn"])  # as Keras 2 writes the name of a metric
    return value if isinstance(value, str) else _made(METRICS, "metric", value).get_config()


def _made(registry: Any, what: str, value: Any) -> Any:
    return registry.from_config(part_from_keras(registry, what, value))
