"""Structures: lists, tuples and dicts of tensors, inside each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_NESTED = (list, tuple, Mapping)


def flat(structure: Any) -> list[Any]:
    """The leaves, in order; of dicts in the order of their keys."""
    if not isinstance(structure, _NESTED):
        return [structure]
    if type(structure) is list and not any(isinstance(each, _NESTED) for each in structure):
        return list(structure)
    return list(_leaves(structure))


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
    if type(structure) is list and not any(isinstance(each, _NESTED) for each in structure):
        return list(values)
    return _filled(structure, iter(values))


def _filled(structure: Any, values: Iterator[Any]) -> Any:
    if isinstance(structure, Mapping):
        return {key: _filled(each, values) for key, each in structure.items()}
    if isinstance(structure, list | tuple):
        filled = [_filled(each, values) for each in structure]
        return type(structure)(*filled) if hasattr(structure, "_fields") else type(structure)(filled)
    return next(values)
