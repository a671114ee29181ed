"""Names of Keras and TensorFlow that are not there: using one is a sentence."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn


class MissingNameError(ImportError):
    """A name of Keras or TensorFlow that distrib does not have, with what to do instead."""


def refuser(module: str, reasons: Mapping[str, str], known: Iterable[str]) -> Callable[[str], NoReturn]:
    """The `__getattr__` of a name space.

    Args:
        module: its name.
        reasons: name -> what to do instead.
        known: the names that there are.
    """
    names = list(known)

    def missing(name: str) -> Any:
        if name in reasons:
            raise MissingNameError(f"{module} has no {name}: {reasons[name]}")
        near = difflib.get_close_matches(name, names, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise AttributeError(f"module {module!r} has no attribute {name!r}.{hint}")

    return missing
