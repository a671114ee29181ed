"""Structures: lists, tuples and dicts of tensors, inside each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from distrib.autodiff.recorder import Readable

_LEAVES = (np.ndarray, Readable)


def flat(structure: Any) -> list[Any]:
    """The leaves, in order; of dicts in the order of their keys."""
    if isinstance(structure, _LEAVES):
        return [structure]
    if _is_plain(structure):
        return list(structure)
    return list(_leaves(structure))


def _is_plain(structure: Any) -> bool:
    """Whether it is a list of tensors: the usual case, which need not be searched."""
    return type(structure) is list and all(isinstance(each, _LEAVES) for each in structure)


def _leaves(structure: Any) -> Iterator[Any]:
    if isinstance(structure, Mapping):
        for each in structure.values():
            yield from _leaves(each)
    elif isinstance(structure, list | tuple):
        for each in structure:
            yield from _leaves(each)
    else:
        yield structure


def in_structure(structure: Any, values: Sequence[Any]) -> Any:
    """The same structure with other leaves."""
    if _is_plain(structure):
        return list(values)
    return _filled(structure, iter(values))


def _filled(structure: Any, values: Iterator[Any]) -> Any:
    if isinstance(structure, Mapping):
        return {key: _filled(each, values) for key, each in structure.items()}
    if isinstance(structure, list | tuple):
        filled = [_filled(each, values) for each in structure]
        return type(structure)(*filled) if hasattr(structure, "_fields") else type(structure)(filled)
    return next(values)
