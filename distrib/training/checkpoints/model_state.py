"""The content of a saved model: collecting it, checking it, and assigning it.

`model.safetensors` holds the variables by name, trainable or not; `optimizer.safetensors` the slots as
`<slot>/<variable>`, whole, no matter which process has kept which range; the manifest the rest. So a checkpoint does
not know how many replicas or parameter servers have written it. Everything is checked before anything is changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError, StorageError
from distrib.base.logs import LOGGER
from distrib.cluster.launcher_env import run_name
from distrib.nn.network import Network
from distrib.nn.optimizers import Optimizer
from distrib.nn.schedules import deserialize
from distrib.strategies.update.coordination import Saved
from distrib.training.arguments.compile_config import CompileConfig
from distrib.training.fingerprint import describe_network, versions

MODEL_FILE = "model.safetensors"
OPTIMIZER_FILE = "optimizer.safetensors"
OWN_OPTIMIZERS_FILE = "optimizers.safetensors"
"""What optimizers know that a model has beside that of `fit`."""

Files = dict[str, dict[str, Array]]

_SHOWN = 10


def contents(
    config: Mapping[str, Any],
    network: Network,
    compiled: CompileConfig | None,
    slots: Mapping[str, Array] | None,
) -> tuple[Files, dict[str, Any]]:
    """The files and the manifest of a model.

    Args:
        config: of the model.
        network: the model.
        compiled: the arguments of `compile`; None if it was not called.
        slots: name -> `(size,)`; None before the first step.

    Raises:
        StorageError: NaN or Inf in the values or in the slots. It would be of no use to anybody.
    """
    variables = {name: variable.value for name, variable in network.variables.items()}
    files: Files = {MODEL_FILE: variables}
    manifest: dict[str, Any] = {
        "model": {
            "class": config["class"],
            "name": config["name"],
            **describe_network(network),
            # Layers in a row are described by the network. The calls of others are not.
            **({} if _is_row(config) else {"config": config}),
        },
        "run": run_name(),
        "step": 0,
        "compile": None,
        "versions": versions(),
    }
    if compiled is not None:
        manifest["step"] = compiled.optimizer.iterations
        manifest["compile"] = compiled.describe()
        files[OPTIMIZER_FILE] = _slots_by_variable(network, compiled.optimizer, slots or {})
    for file, arrays in files.items():
        _check_finite(file, arrays, "It is not saved, and what was saved before stays.")
    return files, manifest


def _is_row(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is of layers in a row, without models among them."""
    return config.get("class") == "Sequential" and not any("layers" in each for each in config["layers"])


def check_model(folder: Path, network: Network, files: Files) -> dict[str, Array]:
    """The values of a network's variables by name.

    Raises:
        StorageError: they are those of another model, or hold NaN or Inf.
    """
    expected = {name: (variable.shape, variable.dtype) for name, variable in network.variables.items()}
    return check_arrays(folder / MODEL_FILE, expected, files.get(MODEL_FILE, {}))


def fitting(folder: Path, network: Network, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays that fit a network's variables; its own values for the others, which a warning names."""
    values, skipped = {}, []
    for name, variable in network.variables.items():
        found = arrays.get(name)
        if found is None or (found.shape, found.dtype) != (variable.shape, variable.dtype):
            skipped.append(name)
            found = variable.numpy()
        values[name] = found
    skipped += [name for name in arrays if name not in values]
    if skipped:
        LOGGER.warning("%s does not fit everywhere; skipped: %s.", folder, ", ".join(skipped[:_SHOWN]))
    return values


def check_optimizer(
    folder: Path, network: Network, optimizer: Optimizer, files: Files, manifest: Mapping[str, Any]
) -> Saved:
    """The state of a training besides the values, to resume from.

    Raises:
        StorageError: it is of another optimizer, holds NaN or Inf, or lacks the step or the learning rate.
    """
    config = (manifest["compile"] or {}).get("optimizer", {})
    if config.get("class") != type(optimizer).__name__:
        raise StorageError(
            f"{folder} is of another optimizer. Expected: {type(optimizer).__name__}. "
            f"Received: {config.get('class', 'none')}."
        )
    layout, dtype = network.buffer.layout, network.dtype
    expected = {
        f"{slot}/{entry.name}": (entry.shape, dtype) for slot in optimizer.state_names for entry in layout
    }
    arrays = check_arrays(folder / OPTIMIZER_FILE, expected, files.get(OPTIMIZER_FILE, {}))
    slots = {}
    for slot in optimizer.state_names:
        slots[slot] = np.empty(network.buffer.size, dtype)
        for entry in layout:
            slots[slot][entry.range.slice] = arrays[f"{slot}/{entry.name}"].reshape(-1)
    try:
        rate, step = config["learning_rate"], int(manifest["step"])
        if isinstance(rate, dict):
            rate = deserialize(rate)(step)
        return Saved(slots, step, float(rate), "restored")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise StorageError(f"{folder} does not say where the optimizer was: {error!r}") from None


def check_arrays(
    path: Path, expected: Mapping[str, tuple[Shape, np.dtype[Any]]], arrays: Mapping[str, Array]
) -> dict[str, Array]:
    """The arrays, if they are what is expected.

    Raises:
        StorageError: names, shapes or dtypes differ, all of which are shown; or NaN or Inf.
    """
    lines = []
    for name in dict.fromkeys([*expected, *arrays]):
        wanted = _words(*expected[name]) if name in expected else "nothing"
        received = _words(arrays[name].shape, arrays[name].dtype) if name in arrays else "nothing"
        if wanted != received:
            lines.append(f"  {name}: expected {wanted}, received {received}")
    if lines:
        more = [f"  ... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        raise StorageError("\n".join([f"{path} is of another model:", *lines[:_SHOWN], *more]))
    _check_finite(path, arrays, "Take an older one.")
    return dict(arrays)


def assign(network: Network, values: Mapping[str, Array]) -> None:
    """Overwrite the variables, on this replica, with values that `check_model` has found right."""
    for name, variable in network.variables.items():
        variable.assign(values[name])


def _slots_by_variable(
    network: Network, optimizer: Optimizer, slots: Mapping[str, Array]
) -> dict[str, Array]:
    if not set(slots) <= set(optimizer.state_names):
        raise ConfigError(f"Expected slots {optimizer.state_names}. Received: {sorted(slots)}.")
    size, dtype = network.buffer.size, network.dtype
    before = {slot: np.full(size, optimizer.initial_slot(slot), dtype) for slot in optimizer.state_names}
    return {
        f"{slot}/{entry.name}": slots.get(slot, before[slot])[entry.range.slice].reshape(entry.shape)
        for slot in optimizer.state_names
        for entry in network.buffer.layout
    }


def _check_finite(file: Path | str, arrays: Mapping[str, Array], advice: str) -> None:
    bad = [name for name, array in arrays.items() if not _is_finite(array)]
    if bad:
        raise StorageError(f"{file}: NaN or Inf in {', '.join(bad[:_SHOWN])}. {advice}")


def _is_finite(array: Array) -> bool:
    flat = array.reshape(-1)
    with np.errstate(over="ignore"):  # of finite numbers, which are looked at one by one then
        return math.isfinite(np.dot(flat, flat)) or bool(np.isfinite(flat).all())


def _words(shape: Shape, dtype: np.dtype[Any]) -> str:
    return f"{dtype.name} {tuple(shape)}"
