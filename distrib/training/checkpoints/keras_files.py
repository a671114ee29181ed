"""Files of Keras: `.keras`, `.h5` and `.weights.h5`, from what a checkpoint folder holds, and back.

They know no position within a `fit`, no seed and no policy about NaN: a checkpoint folder keeps those, too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, StorageError
from distrib.base.logs import LOGGER
from distrib.formats.hdf5 import Group, read_hdf5, write_hdf5
from distrib.formats.keras.archive import read_archive, write_archive
from distrib.formats.keras.compile import compile_to_keras
from distrib.formats.keras.legacy_model import described, read_legacy
from distrib.formats.keras.legacy_weights import (
    OPTIMIZER_GROUP,
    legacy_arrays,
    legacy_tree,
    values_from_legacy,
)
from distrib.formats.keras.model_reader import model_from_keras
from distrib.formats.keras.model_writer import model_to_keras
from distrib.formats.keras.optimizer_state import optimizer_arrays, slots_from_keras
from distrib.formats.keras.weights import fitted, in_order, values_from_weights, weights_tree
from distrib.nn.network import Network
from distrib.nn.optimizers import Optimizer
from distrib.training.checkpoints.model_state import MODEL_FILE, OPTIMIZER_FILE, Files

WEIGHTS_ENDING = ".weights.h5"
_LEGACY = (".h5", ".hdf5")
ENDINGS = (".keras", *_LEGACY)
_MAX_BYTES = 1 << 40


def is_keras_file(path: Path) -> bool:
    """Whether a path has an ending of Keras, and is no folder."""
    return path.suffix.lower() in ENDINGS and not path.is_dir()


def keras_file(
    path: Path, config: Mapping[str, Any], network: Network, files: Files, manifest: Mapping[str, Any]
) -> bytes:
    """The content of a file.

    Args:
        path: of the file, whose ending says what it holds.
        config: of the model.
        network: of the model.
        files: of the checkpoint folder; see `contents`.
        manifest: likewise.

    Raises:
        ConfigError: something that Keras does not have.
    """
    _check_is_graph(config)
    values, compiled = files[MODEL_FILE], manifest["compile"]
    state = None if compiled is None else _optimizer_to_keras(network, compiled, manifest["step"], files)
    if str(path).endswith(WEIGHTS_ENDING):
        return write_hdf5(weights_tree(config, values, None if state is None else list(state.values())))
    model = model_to_keras(config)
    training = None if compiled is None else compile_to_keras(compiled, config.get("outputs"))
    if path.suffix.lower() in _LEGACY:
        trainable = [entry.name for entry in network.buffer.layout]
        return write_hdf5(described(legacy_tree(config, values, trainable, state), model, training))
    tree = weights_tree(config, values, None if state is None else list(state.values()))
    return write_archive(model | ({} if training is None else {"compile_config": training}), tree)


def _check_is_graph(config: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for a model by subclass, whose layers Keras lays out by the code of its class."""
    if "layers" not in config:
        raise ConfigError(
            f"Files of Keras hold Sequential and Model(inputs, outputs). Received: {config.get('class')}, a model by "
            "subclass. Save it as a folder, save('model'), or its weights as 'model.weights.safetensors'."
        )


def _optimizer_to_keras(
    network: Network, compiled: Mapping[str, Any], step: int, files: Files
) -> dict[str, Array]:
    config, arrays = compiled["optimizer"], files[OPTIMIZER_FILE]
    slots: dict[str, list[Array]] = {}
    for key, array in arrays.items():
        slots.setdefault(key.partition("/")[0], []).append(array)
    shapes = {entry.name: entry.shape for entry in network.buffer.layout}
    return optimizer_arrays(config["class"], config, step, slots, shapes, network.dtype)


@dataclass(frozen=True)
class KerasFile:
    """What a file of Keras holds.

    Attributes:
        path: of the file.
        config: of the model, as distrib writes it; None for weights alone.
        training: the arguments of `compile`, as Keras writes them; None where it was not compiled.
        tree: of the arrays.
        is_legacy: whether arrays lie by the names of layers.
    """

    path: Path
    config: dict[str, Any] | None
    training: dict[str, Any] | None
    tree: Group
    is_legacy: bool

    def values(self, network: Network, config: Mapping[str, Any]) -> dict[str, Array]:
        """The values of all variables of a network. Raises `StorageError` for those of another model.

        Args:
            network: the network.
            config: of its model.
        """
        _check_is_graph(config)
        variables = {name: variable.value for name, variable in network.variables.items()}
        if self.is_legacy:
            trainable = [entry.name for entry in network.buffer.layout]
            return values_from_legacy(self.tree, variables, trainable, str(self.path))
        return values_from_weights(self.tree, self.config or config, variables, str(self.path))

    def state(
        self, network: Network, optimizer: Optimizer
    ) -> tuple[int, float | None, dict[str, Array]] | None:
        """The number of updates, the learning rate, and the slots; None where the file has none that fit.

        Args:
            network: what is trained.
            optimizer: its optimizer.
        """
        arrays = self._optimizer_arrays()
        if not arrays:
            return None
        shapes = {entry.name: entry.shape for entry in network.buffer.layout}
        config, class_name = optimizer.get_config(), type(optimizer).__name__
        try:
            step, rate, slots = slots_from_keras(
                class_name, config, optimizer.state_names, shapes, arrays, str(self.path)
            )
            slots = {
                name: fitted(slots[name], network.variables[name.partition("/")[2]].value, name)
                for name in slots
            }
        except StorageError as error:
            LOGGER.warning("%s The optimizer begins anew.", error)
            return None
        return step, rate, slots

    def _optimizer_arrays(self) -> list[Array]:
        if not self.is_legacy:
            return in_order(self.tree.find("optimizer/vars"))
        groups = self.tree.groups
        group = groups.get(OPTIMIZER_GROUP) or groups.get("optimizer_weights")
        return [] if group is None else legacy_arrays(group)

    def largest(self) -> int:
        """Number of elements of the largest array."""
        return max((array.size for array in self.tree.arrays()), default=0)


def read_keras_file(path: Path) -> KerasFile:
    """What a file holds.

    Raises:
        StorageError: it cannot be read, is damaged, or is no file of Keras.
        ConfigError: h5py is not installed, or it has layers or arguments that are not supported.
    """
    content = _content(path)
    try:
        return _read(path, content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _read(path: Path, content: bytes) -> KerasFile:
    name = str(path)
    if path.suffix.lower() == ".keras":
        archive = read_archive(content, name)
        training = archive.config.get("compile_config") or None
        return KerasFile(path, model_from_keras(archive.config), training, archive.weights, is_legacy=False)
    tree = read_hdf5(content, name)
    if "model_config" in tree.attributes:
        model = read_legacy(tree, name)
        return KerasFile(path, model_from_keras(model.config), model.training, tree, is_legacy=True)
    is_legacy = any(key.startswith("layer_names") for key in tree.attributes)
    return KerasFile(path, None, None, tree, is_legacy)


def _content(path: Path) -> bytes:
    try:
        if not path.is_file() or os.stat(path).st_size > _MAX_BYTES:
            raise OSError("it is not a regular file" if path.exists() else "there is none")
        return path.read_bytes()
    except (OSError, ValueError, MemoryError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from None
