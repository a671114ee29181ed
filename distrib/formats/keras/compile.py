"""The arguments of `compile`, as Keras writes them and as distrib does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from distrib.formats.keras.objects import (
    loss_from_keras,
    loss_to_keras,
    metric_from_keras,
    metric_to_keras,
    optimizer_from_keras,
    optimizer_to_keras,
)
from distrib.nn import losses, metrics, optimizers

_WEIGHTED = "weighted:"


def compile_to_keras(compiled: Mapping[str, Any], outputs: Any) -> dict[str, Any]:
    """The arguments of `compile`, as Keras writes them.

    Args:
        compiled: as `CompileConfig.describe` returned it.
        outputs: of the model's configuration; None for one output.

    Raises:
        ConfigError: an object that Keras does not have.
    """
    several = isinstance(compiled["loss"], list)
    found = [each and loss_to_keras(each) for each in (compiled["loss"] if several else [compiled["loss"]])]
    named = [_without_marks(each) for each in (compiled["metrics"] if several else [compiled["metrics"]])]

    def arranged(values: list[Any]) -> Any:
        """As the outputs are: one, a list, or a dict."""
        if isinstance(outputs, Mapping) and "tensor" not in outputs:
            return dict(zip(outputs, values, strict=True))
        return values if len(values) > 1 else values[0]

    optimizer = {key: value for key, value in compiled["optimizer"].items() if key != "iterations"}
    return {
        "optimizer": optimizer_to_keras(optimizer),
        "loss": arranged(found),
        "loss_weights": arranged(list(compiled["loss_weights"])) if "loss_weights" in compiled else None,
        "metrics": arranged([each[0] for each in named]) or None,
        "weighted_metrics": arranged([each[1] for each in named]) if any(each[1] for each in named) else None,
        "run_eagerly": False,
        "steps_per_execution": 1,
        "jit_compile": False,
    }


def _without_marks(config: list[Any] | None) -> tuple[list[Any], list[Any]]:
    """The metrics of an output, without and with sample weights."""
    found = list(config or [_WEIGHTED])
    boundary = found.index(_WEIGHTED)
    return (
        [metric_to_keras(each) for each in found[:boundary]],
        [metric_to_keras(each) for each in found[boundary + 1 :]],
    )


def compile_from_keras(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `Model.compile`.

    Args:
        config: as Keras writes it, in `.keras` or in `.h5`.

    Raises:
        ConfigError: an optimizer, a loss or a metric that is not built in.
    """
    optimizer = config.get("optimizer", config.get("optimizer_config"))
    if isinstance(optimizer, str):
        made: Any = optimizers.get(optimizer)
    else:
        made = optimizers.from_config(optimizer_from_keras(optimizer))
    return {
        "optimizer": made,
        "loss": _each(config.get("loss"), lambda value: losses.from_config(loss_from_keras(value))),
        "loss_weights": config.get("loss_weights"),
        "metrics": _each(config.get("metrics"), _metric),
        "weighted_metrics": _each(config.get("weighted_metrics"), _metric),
    }


def _metric(value: Any) -> Any:
    if value is None:
        return None
    found = metric_from_keras(value)
    return found if isinstance(found, str) else metrics.from_config(found)


def _each(structure: Any, make: Callable[[Any], Any]) -> Any:
    """Objects in a structure of lists and dicts."""
    if structure is None:
        return None
    if isinstance(structure, list):
        found = [_each(each, make) for each in structure]
        return found[0] if len(found) == 1 and (found[0] is None or isinstance(found[0], list)) else found
    if isinstance(structure, Mapping) and "class_name" not in structure:
        return {key: _each(each, make) for key, each in structure.items()}
    return make(structure)
