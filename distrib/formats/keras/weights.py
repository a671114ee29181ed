"""Weights in the layout of `.weights.h5`, and of the file of that name within `.keras`.

Arrays lie in `layers/<class>_<n>/vars/<i>`, numbered in the order of the layers; what the optimizer keeps in
`optimizer/vars/<i>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import StorageError
from distrib.formats.hdf5 import Group
from distrib.nn.layers.shapes import snake_case

Arrays = Mapping[str, Array]


def layer_paths(config: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The layers of a model, those of models in it included, where Keras' weights lie.

    Layers are named by their class, and numbered in their order: `layers/dense_1`.

    Args:
        config: of the model, as distrib writes it.

    Yields:
        The name in the network, the path, and the name of the layer or model.
    """
    counts: dict[str, int] = {}
    for each in config["layers"]:
        kind = snake_case(each["class"].rpartition(">")[2])
        number = counts[kind] = counts.get(kind, -1) + 1
        path = f"layers/{kind}_{number}" if number else f"layers/{kind}"
        yield each["name"], path, each["name"]
        if "layers" in each:
            for name, inner, own in layer_paths(each):
                yield f"{each['name']}/{name}", f"{path}/{inner}", own


def weights_tree(config: Mapping[str, Any], values: Arrays, optimizer: Sequence[Array] | None) -> Group:
    """The tree of `.weights.h5`.

    Args:
        config: of the model, as distrib writes it.
        values: of all variables, by their names in the network.
        optimizer: as `optimizer_arrays` gave it; None for none.
    """
    tree = Group()
    tree.group("vars").attributes["name"] = config["name"]
    for name, path, own in layer_paths(config):
        group = tree.group(f"{path}/vars")
        group.attributes["name"] = own
        for index, array in enumerate(_of_layer(values, name)):
            group.datasets[str(index)] = array
    if optimizer is not None:
        group = tree.group("optimizer/vars")
        group.attributes["name"] = "optimizer"
        group.datasets = {str(index): array for index, array in enumerate(optimizer)}
    return tree


def values_from_weights(
    tree: Group, config: Mapping[str, Any], variables: Arrays, file: str
) -> dict[str, Array]:
    """The values of variables in the tree of `.weights.h5`, by their names in the network.

    Args:
        tree: of the file.
        config: of the model, in the order of the file.
        variables: those that are looked for, in any form that has a shape and a dtype.
        file: name of the file, for errors.

    Raises:
        StorageError: there are others.
    """
    found: dict[str, Array] = {}
    for name, path, own in layer_paths(config):
        group = tree.find(f"{path}/vars")
        written = group.attributes.get("name", own)
        wanted = _names_of_layer(variables, name)
        arrays = in_order(group)
        if len(arrays) != len(wanted):
            raise StorageError(
                f"{file}: layer '{own}' ({path}) has {len(wanted)} variables: {', '.join(wanted) or 'none'}. "
                f"Received: {len(arrays)} arrays, of layer '{written}'."
            )
        for each, array in zip(wanted, arrays, strict=True):
            found[each] = fitted(array, variables[each], f"{file}: {each}")
    return found


def in_order(group: Group) -> list[Array]:
    """The arrays of a group that are named 0, 1, ..."""
    found: list[Array] = []
    while str(len(found)) in group.datasets:
        found.append(group.datasets[str(len(found))])
    return found


def fitted(array: Array, variable: Array, what: str) -> Array:
    """An array in the dtype of a variable. Raises `StorageError` for another shape."""
    if array.shape != variable.shape:
        raise StorageError(f"{what}: expected the shape {variable.shape}. Received: {array.shape}.")
    return np.ascontiguousarray(array, variable.dtype).reshape(variable.shape)


def _names_of_layer(values: Mapping[str, Any], layer: str) -> list[str]:
    """The variables of a layer itself, without those of layers in it."""
    return [name for name in values if name.rpartition("/")[0] == layer]


def _of_layer(values: Arrays, layer: str) -> Iterator[Array]:
    for name in _names_of_layer(values, layer):
        yield values[name]
