"""Weights in the layout of `.h5`, of Keras 2 and of Keras 3.

Arrays lie by the names of layers, in the order of attributes: `layer_names`, and `weight_names` of each layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from distrib.base.arrays import Array
from distrib.base.errors import StorageError
from distrib.formats.hdf5 import Group, set_texts, texts
from distrib.formats.keras.weights import Arrays, fitted

OPTIMIZER_GROUP = "distrib_optimizer_weights"
"""Keras passes over it. From `optimizer_weights` Keras 3 (3.15) builds an optimizer without variables, so that a
model that it has loaded from `.h5` does not train."""


def legacy_tree(
    config: Mapping[str, Any], values: Arrays, trainable: Sequence[str], optimizer: Mapping[str, Array] | None
) -> Group:
    """The tree of `.h5`, without the configurations.

    Args:
        config: of the model, as distrib writes it.
        values: of all variables, by their names in the network.
        trainable: names of those that are trained.
        optimizer: arrays by name, in their order; None for none.
    """
    weights = Group()
    layers = [each["name"] for each in config["layers"]]
    set_texts(weights.attributes, "layer_names", layers)
    for layer in layers:
        group = weights.group(layer)
        names = _legacy_names(values, trainable, layer)
        set_texts(group.attributes, "weight_names", names)
        for name in names:
            _put(group, name, values[name])
    set_texts(weights.group("top_level_model_weights").attributes, "weight_names", [])
    tree = Group(groups={"model_weights": weights})
    if optimizer is not None:
        group = tree.group(OPTIMIZER_GROUP)
        set_texts(group.attributes, "weight_names", list(optimizer))
        for name, array in optimizer.items():
            _put(group, name, array)
    return tree


def _put(group: Group, path: str, array: Array) -> None:
    folder, _, name = path.rpartition("/")
    (group.group(folder) if folder else group).datasets[name] = array


def legacy_arrays(group: Group) -> list[Array]:
    """The arrays of a group of `.h5`, in their order. Raises `StorageError` where one is missing."""
    found: list[Array] = []
    for path in texts(group.attributes, "weight_names"):
        folder, _, name = path.rpartition("/")
        holder = group.find(folder) if folder else group
        if name not in holder.datasets:
            raise StorageError(f"Expected an array {path}. Received: none.")
        found.append(holder.datasets[name])
    return found


def _legacy_names(values: Mapping[str, Any], trainable: Sequence[str], layer: str) -> list[str]:
    """The variables of a layer and of layers in it: those that are trained, and then the others."""
    names = [name for name in values if name == layer or name.startswith(f"{layer}/")]
    known = set(trainable)
    return [name for name in names if name in known] + [name for name in names if name not in known]


def values_from_legacy(
    tree: Group, variables: Arrays, trainable: Sequence[str], file: str
) -> dict[str, Array]:
    """The values of variables in the tree of `.h5`; see `values_from_weights`."""
    weights = tree.groups.get("model_weights", tree)
    found: dict[str, Array] = {}
    layers = texts(weights.attributes, "layer_names")
    wanted = list(dict.fromkeys(name.partition("/")[0] for name in variables))
    with_arrays = [name for name in layers if legacy_arrays(weights.find(name))]
    if len(with_arrays) != len(wanted):
        raise StorageError(
            f"{file} is of another model. Expected: layers {', '.join(wanted)}. Received: {', '.join(with_arrays)}."
        )
    by_name = set(wanted) == set(with_arrays)  # else in their order, as Keras does
    for layer, there in zip(wanted, wanted if by_name else with_arrays, strict=True):
        names, arrays = _legacy_names(variables, trainable, layer), legacy_arrays(weights.find(there))
        if len(names) != len(arrays):
            raise StorageError(
                f"{file}: layer '{layer}' has {len(names)} variables. Received: {len(arrays)} arrays, of '{there}'."
            )
        for name, array in zip(names, arrays, strict=True):
            found[name] = fitted(array, variables[name], f"{file}: {name}")
    return found
