"""The structures of what models of one's own take and return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrib.autodiff.structures import flat


def is_several(x: Any) -> bool:
    """Whether `x` is a dict, or a list of arrays."""
    return isinstance(x, Mapping) or any(hasattr(each, "__array__") for each in x)


def names_in(structure: Any, word: str) -> tuple[str, ...]:
    """The names of several inputs or outputs; none where there is one."""
    if isinstance(structure, Mapping) and all(each is None for each in structure.values()):
        return tuple(map(str, structure))
    count = len(flat(structure))
    return tuple(f"{word}_{index}" for index in range(count)) if count > 1 else ()


def shapes_in(shape: Any) -> Any:
    """Shapes of batches as leaves: tuples of sizes."""
    if isinstance(shape, Mapping):
        return {key: _Leaf(tuple(each)) for key, each in shape.items()}
    if shape and all(isinstance(each, tuple | list) for each in shape):
        return [_Leaf(tuple(each)) for each in shape]
    return _Leaf(tuple(shape))


class _Leaf:
    """A shape, which is a tuple, as a leaf of a structure."""

    def __init__(self, shape: tuple[Any, ...]) -> None:
        self.shape = shape

    def __getitem__(self, key: Any) -> Any:
        return self.shape[key]


def shapes_listed(shapes: Any) -> list[Any]:
    """Shapes in a list, also where there is one."""
    is_one = not shapes or not isinstance(shapes[0], tuple | list)
    return [shapes] if is_one else list(shapes)
