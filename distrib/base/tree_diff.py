"""Where nested JSON values differ, such as what replicas say of themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

NOTHING = "nothing"
"""Shown for a key that a tree lacks."""

_SHOWN = 10


def flatten(tree: Any, path: str = "") -> dict[str, Any]:
    """Nested JSON values as `{"layers[0].units": 100, ...}`."""
    if isinstance(tree, dict) and tree:
        items = [(f"{path}.{key}" if path else key, value) for key, value in tree.items()]
    elif isinstance(tree, list) and tree:
        items = [(f"{path}[{index}]", value) for index, value in enumerate(tree)]
    else:
        return {path: tree}
    return {key: leaf for name, value in items for key, leaf in flatten(value, name).items()}


def differing(trees: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys at which trees differ, in order; a tree that lacks a key differs from one that has it.

    Args:
        trees: as `flatten` returns them.
    """
    keys = dict.fromkeys(key for tree in trees for key in tree)
    return [key for key in keys if len({_json(tree.get(key, NOTHING)) for tree in trees}) > 1]


def differences(descriptions: Sequence[Mapping[str, Any]]) -> str:
    """A line for each key that differs, the first ones, with the value on each rank.

    Args:
        descriptions: of every rank, as `flatten` returns them.
    """
    keys, lines = differing(descriptions), []
    for key in keys[:_SHOWN]:
        values = [f"rank {rank}: {d.get(key, NOTHING)!r}" for rank, d in enumerate(descriptions)]
        lines.append(f"  {key}: {', '.join(values)}")
    if len(keys) > _SHOWN:
        lines.append(f"  ... and {len(keys) - _SHOWN} more")
    return "\n".join(lines)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
