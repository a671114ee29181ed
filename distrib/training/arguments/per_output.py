"""Arguments of `compile` that a model with several outputs takes for each: losses, their weights, and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from distrib.base.errors import ConfigError
from distrib.training.arguments.unsupported import several


def one_for_each(argument: str, given: Any, names: Sequence[str], default: Any) -> list[Any]:
    """A loss, or the weight of one, for each output.

    Args:
        argument: its name, for the error message.
        given: one for all outputs; a list of one for each; or a dict by the outputs' names.
        names: of the outputs; a single empty one where there is one output, whose name is not known.
        default: for outputs that a dict does not have.

    Raises:
        ConfigError: another number, or a name that no output has.
    """
    if isinstance(given, Mapping):
        return _by_name(argument, given, names, default)
    if isinstance(given, list | tuple):
        if len(given) != len(names):
            raise ConfigError(
                f"compile expects {argument} for {len(names)} outputs: {', '.join(names)}. Received: {len(given)}."
            )
        return list(given)
    return [given] * len(names)


def metrics_for_each(argument: str, given: Any, names: Sequence[str]) -> list[list[Any]]:
    """The metrics of each output.

    Args:
        argument: its name, for the error message.
        given: one metric or a list of them, if there is one output; a list with one or a list for each output; or a
            dict by the outputs' names.
        names: see `one_for_each`.

    Raises:
        ConfigError: see `one_for_each`, or what is no metric.
    """
    if isinstance(given, Mapping):
        found = _by_name(argument, given, names, None)
    elif given is None:
        found = [None] * len(names)
    elif len(names) == 1:
        found = [given]
    elif isinstance(given, list | tuple) and len(given) == len(names):
        found = list(given)
    elif isinstance(given, list | tuple) and any(isinstance(each, list | tuple) for each in given):
        found = one_for_each(argument, given, names, None)  # raises
    else:
        found = [given] * len(names)
    return [several(argument, each) for each in found]


def _by_name(argument: str, given: Mapping[str, Any], names: Sequence[str], default: Any) -> list[Any]:
    if list(names) == [""] and len(given) == 1:
        return list(given.values())
    unknown = [str(name) for name in given if name not in names]
    if unknown:
        raise ConfigError(
            f"compile expects {argument} by the names of the outputs: {', '.join(names)}. "
            f"Received: {', '.join(unknown)}."
        )
    return [given.get(name, default) for name in names]
