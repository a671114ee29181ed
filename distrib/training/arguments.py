"""Arguments that Keras and TensorFlow have and we have not: what asks something of them is an error with advice."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from distrib.errors import ConfigError
from distrib.training.callbacks.base import Callback

Callbacks: TypeAlias = Callback | Sequence[Callback] | None
"""What `fit` takes as callbacks."""


def refuse(call: str, given: Mapping[str, Any], known: Mapping[str, Any], ours: Iterable[str] = ()) -> None:
    """Raise `ConfigError` for arguments that are not supported.

    Args:
        call: of what, such as `"fit"`.
        given: name -> value.
        known: names that Keras or TensorFlow has, with the defaults, which ask for nothing.
        ours: names that are supported, to suggest for one that is nobody's.
    """
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, [*ours, *known], 1)
            advice = f"Did you mean {near[0]}?" if near else f"There are: {', '.join([*ours, *known])}."
            raise ConfigError(f"{call} has no argument {name}. Received: {name}={value!r}. {advice}")
        if value is not known[name] and value != known[name]:
            raise ConfigError(f"{call} does not support {name}. Received: {name}={value!r}. Leave it out.")


def listed(callbacks: Callbacks) -> list[Callback]:
    """Callbacks as a list: none, one, or several."""
    if callbacks is None:
        return []
    return [callbacks] if isinstance(callbacks, Callback) else list(callbacks)
