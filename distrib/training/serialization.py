"""Objects as Keras writes them, and making them again: layers, models, optimizers, losses, metrics, their parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrib.base.arguments import checked
from distrib.base.errors import ConfigError
from distrib.formats.keras.model_reader import layer_from_keras, model_from_keras
from distrib.formats.keras.model_writer import layer_to_keras, model_to_keras
from distrib.formats.keras.objects import (
    optimizer_from_keras,
    optimizer_to_keras,
    part_from_keras,
    part_to_keras,
)
from distrib.nn.constraints import REGISTRY as CONSTRAINTS
from distrib.nn.constraints import Constraint
from distrib.nn.custom_objects import custom_object_scope, get_registered_name, get_registered_object
from distrib.nn.initializers import REGISTRY as INITIALIZERS
from distrib.nn.initializers import Initializer
from distrib.nn.layers.layer import Layer
from distrib.nn.layers.registry import REGISTRY as LAYERS
from distrib.nn.losses.loss import Loss
from distrib.nn.losses.registry import REGISTRY as LOSSES
from distrib.nn.metrics.metric import Metric
from distrib.nn.metrics.registry import REGISTRY as METRICS
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.nn.optimizers.registry import REGISTRY as OPTIMIZERS
from distrib.nn.optimizers.registry import from_config as optimizer_from_config
from distrib.nn.regularizers import REGISTRY as REGULARIZERS
from distrib.nn.regularizers import Regularizer
from distrib.nn.schedules import LearningRateSchedule
from distrib.nn.schedules.registry import REGISTRY as SCHEDULES
from distrib.training.model import Model
from distrib.training.model_config import MODEL_CLASSES, made_of

_PARTS: tuple[tuple[Any, str, Any], ...] = (
    (Constraint, "constraints", CONSTRAINTS),
    (Initializer, "initializers", INITIALIZERS),
    (Loss, "losses", LOSSES),
    (Metric, "metrics", METRICS),
    (Regularizer, "regularizers", REGULARIZERS),
    (LearningRateSchedule, "optimizers.schedules", SCHEDULES),
)


def serialize_keras_object(obj: Any) -> Any:
    """A configuration as Keras writes it: `module`, `class_name`, `config`, `registered_name`.

    Args:
        obj: a layer, model, optimizer, loss, metric, initializer, regularizer, constraint or schedule; or JSON
            values, and lists and dicts of these.

    Raises:
        ConfigError: something else.
    """
    if obj is None or isinstance(obj, str | int | float):
        return obj
    if isinstance(obj, list | tuple):
        return [serialize_keras_object(each) for each in obj]
    if isinstance(obj, Mapping):
        return {key: serialize_keras_object(each) for key, each in obj.items()}
    if isinstance(obj, Model):
        return model_to_keras(obj.get_config())
    if isinstance(obj, Layer):
        return layer_to_keras(obj.get_config(), obj.dtype.name)
    if isinstance(obj, Optimizer):
        return optimizer_to_keras(obj.get_config())
    for kind, module, registry in _PARTS:
        if isinstance(obj, kind):
            config = {"class": get_registered_name(type(obj)), **obj.get_config()}
            return part_to_keras(f"keras.{module}", registry, config)
    raise ConfigError(f"serialize_keras_object expects an object of Keras. Received: {obj!r}.")


@checked
def deserialize_keras_object(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The object that `serialize_keras_object`, of distrib or of Keras, has described.

    Args:
        config: the description; lists and dicts of some, and JSON values, are passed through.
        custom_objects: classes of one's own by name.

    Raises:
        ConfigError: a class that is neither built in nor registered, or arguments that are not supported.
    """
    if isinstance(config, list):
        return [deserialize_keras_object(each, custom_objects) for each in config]
    if not isinstance(config, Mapping):
        return config
    if "class_name" not in config:
        return {key: deserialize_keras_object(each, custom_objects) for key, each in config.items()}
    with custom_object_scope(custom_objects or {}):
        return _made(config)


def _made(config: Mapping[str, Any]) -> Any:
    name, registered = str(config["class_name"]), str(config.get("registered_name"))
    cls = get_registered_object(registered) or get_registered_object(name)
    if name in MODEL_CLASSES:
        return made_of(model_from_keras(config), "deserialize_keras_object")
    if name in LAYERS.classes or (isinstance(cls, type) and issubclass(cls, Layer)):
        return made_of(layer_from_keras(config), "deserialize_keras_object")
    if name in OPTIMIZERS.classes:
        return optimizer_from_config(optimizer_from_keras(config))
    module = str(config.get("module", ""))
    found = [
        registry
        for kind, _, registry in _PARTS
        if name in registry.classes or (isinstance(cls, type) and issubclass(cls, kind))
    ]
    # Some losses and metrics have one name.
    named = [registry for _, place, registry in _PARTS if registry in found and module.endswith(place)]
    for registry in named or found:
        return registry.from_config(part_from_keras(registry, "object", config))
    raise ConfigError(
        f"deserialize_keras_object: no class {name}. Register a class of your own "
        "(keras.saving.register_keras_serializable), or pass it in custom_objects."
    )
