"""`.h5`: a model in one HDF5 file, as Keras 2 and Keras 3 write it: configurations as JSON in attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from distrib.base.errors import StorageError
from distrib.base.parse_json import parse_json
from distrib.formats.hdf5 import Group
from distrib.formats.keras.archive import KERAS_VERSION


class LegacyModel(NamedTuple):
    """What a `.h5` file holds.

    Attributes:
        config: of the model, as Keras writes it.
        training: the arguments of `compile`; None where it was not compiled.
    """

    config: dict[str, Any]
    training: dict[str, Any] | None


def described(tree: Group, config: Mapping[str, Any], training: Mapping[str, Any] | None) -> Group:
    """A tree of arrays with the configurations, as Keras writes them.

    Args:
        tree: of the arrays.
        config: of the model.
        training: the arguments of `compile`; None for none.
    """
    versions = {"keras_version": KERAS_VERSION, "backend": "tensorflow"}
    tree.attributes |= versions | {"model_config": json.dumps(_plain(config))}
    tree.groups["model_weights"].attributes |= versions
    if training is not None:
        inner = {key: value for key, value in training.items() if key != "optimizer"}
        inner["optimizer_config"] = training["optimizer"]
        tree.attributes["training_config"] = json.dumps(inner)
    return tree


def _plain(value: Any) -> Any:
    """Without what Keras does not write there."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    plain = {key: _plain(each) for key, each in value.items() if key not in ("registered_name", "module")}
    if value.get("registered_name"):
        plain["class_name"] = value["registered_name"]
    return plain


def read_legacy(tree: Group, name: str) -> LegacyModel:
    """The configurations in a tree. Raises `StorageError` where there are none."""
    config = _json(tree, "model_config", name)
    if config is None:
        raise StorageError(f"{name} holds no model. If it holds weights alone, use load_weights.")
    return LegacyModel(config, _json(tree, "training_config", name))


def _json(tree: Group, key: str, name: str) -> dict[str, Any] | None:
    text = tree.attributes.get(key)
    if text is None:
        return None
    try:
        value = parse_json(str(text), finite=False)
    except ValueError as error:
        raise StorageError(f"{name}: {key} is damaged: {error}") from None
    if not isinstance(value, dict):
        raise StorageError(f"{name}: {key} is damaged.")
    return value
