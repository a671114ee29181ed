"""Optimizers that a loop or a step of one's own applies: what they know, by their names, in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distrib.base.arrays import Array
from distrib.base.errors import StorageError
from distrib.nn.optimizers import Optimizer
from distrib.strategies.own_updates import restore_later, state_of


def contents(optimizers: Mapping[str, Optimizer]) -> tuple[dict[str, Array], dict[str, Any]]:
    """What optimizers know. Collective.

    Args:
        optimizers: by name.

    Returns:
        The slots, by `<optimizer>/<slot>/<variable>`; and class, updates so far and learning rate of each.

    Raises:
        ConfigError: an optimizer that `fit` has used: it is saved with its model.
    """
    slots: dict[str, Array] = {}
    described = {}
    for name, optimizer in optimizers.items():
        for slot, array in state_of(optimizer).items():
            slots[f"{name}/{slot}"] = array
        described[name] = [
            optimizer.get_config()["class"],
            int(optimizer.iterations),
            float(optimizer.learning_rate),
        ]
    return slots, described


def check(folder: Path, optimizers: Mapping[str, Optimizer], saved: Any) -> dict[str, Any]:
    """What was saved of these optimizers. Raises `StorageError` where that is of others."""
    if not isinstance(saved, dict) or set(saved) != set(optimizers):
        raise StorageError(
            f"{folder} has other optimizers. Expected: {sorted(optimizers)}. Received: {saved}."
        )
    for name, optimizer in optimizers.items():
        if saved[name][0] != optimizer.get_config()["class"]:
            raise StorageError(f"{folder} has another optimizer as {name}: {saved[name][0]}.")
    return saved


def optimizers_of(model: Any) -> dict[str, Optimizer]:
    """The optimizers that a model has as attributes of its own, for its steps; without that of `fit`."""
    used = model.optimizer if model.is_compiled else None
    return {
        name: each
        for name, each in vars(model).items()
        if isinstance(each, Optimizer) and each is not used and not name.startswith("_")
    }


def take(
    optimizers: Mapping[str, Optimizer], saved: Mapping[str, Any], slots: Mapping[str, Array] | None
) -> None:
    """Let optimizers go on from what was saved, at their next update. On this replica.

    Args:
        optimizers: by name.
        saved: what `contents` has described.
        slots: its slots; None where only the chief has them.
    """
    for name, optimizer in optimizers.items():
        _, step, rate = saved[name]
        begin = f"{name}/"
        own = slots and {key.removeprefix(begin): slots[key] for key in slots if key.startswith(begin)}
        restore_later(optimizer, own, int(step), float(rate))
