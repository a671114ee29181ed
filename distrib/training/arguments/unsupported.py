"""Arguments of Keras and TensorFlow that are not supported: using one is an error with advice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from distrib.base.arguments import unknown
from distrib.base.errors import ConfigError
from distrib.nn.metrics import is_metric


def refuse(call: str, given: Mapping[str, Any], known: Mapping[str, Any], ours: Iterable[str] = ()) -> None:
    """Raise `ConfigError` for arguments that are not supported.

    Args:
        call: of what, such as `"fit"`.
        given: name -> value.
        known: names that Keras or TensorFlow has, with the defaults, which ask for nothing.
        ours: supported names, to suggest for an unknown one.
    """
    for name, value in given.items():
        if name not in known:
            raise ConfigError(unknown(call, name, value, [*ours, *known]))
        if value is not known[name] and value != known[name]:
            raise ConfigError(f"{call} does not support {name}. Received: {name}={value!r}. Leave it out.")


def several(name: str, given: object) -> list[Any]:
    """Metrics as a list: none, one by name or instance, or several.

    Args:
        name: of the argument, for the error message.
        given: what was passed.

    Raises:
        ConfigError: anything else, such as metrics by output.
    """
    if given is None:
        return []
    found = list(given) if isinstance(given, list | tuple) else [given]
    for each in found:
        if not is_metric(each):
            raise ConfigError(
                f"compile expects {name} as names or instances of distrib.metrics, in a list. "
                f"Received: {each!r} of type {type(each).__name__}."
            )
    return found


def at_least(least: int, **given: int | None) -> None:
    """Raise `ConfigError` for a number below, by its name; None is fine."""
    for name, value in given.items():
        if value is not None and value < least:
            raise ConfigError(f"Expected {name} >= {least}. Received: {name}={value}.")


def arrays_only(call: str, x: object, y: object = ()) -> None:
    """Raise `ConfigError` where data in batches or no targets were passed instead of arrays.

    Args:
        call: of what, such as `"fit"`.
        x: inputs.
        y: targets; None for none.
    """
    is_stream = isinstance(x, Iterator) or (
        not isinstance(x, np.ndarray | Sequence | Mapping)
        and not hasattr(x, "__array__")
        and hasattr(x, "__iter__")
    )
    if is_stream:
        raise ConfigError(
            f"{call} takes arrays. Received: x of type {type(x).__name__}. Pass data that comes in batches of (x, y) "
            "alone, instead of a tuple."
        )
    if y is None:
        raise ConfigError(f"{call} expects targets y. Received: none.")
