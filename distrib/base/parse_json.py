"""JSON from outside: of sockets, files and variables that others write.

Whatever the text is, it becomes a value or a `ValueError` (a `ConfigError` is one): also if it is nested too deeply,
too large for the memory, or has numbers that JSON does not have.
"""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes, *, finite: bool = False, no_duplicates: bool = False) -> Any:
    """The value that a text describes.

    Args:
        text: JSON; bytes are UTF-8.
        finite: refuse NaN and Infinity, which Python's JSON has.
        no_duplicates: refuse an object that has a key twice.

    Raises:
        ValueError: it is no JSON, or as above.
    """
    options: dict[str, Any] = {}
    if finite:
        options["parse_constant"] = _refuse
    if no_duplicates:
        options["object_pairs_hook"] = _once
    try:
        return json.loads(text, **options)
    except (RecursionError, MemoryError) as error:
        raise ValueError(f"it cannot be parsed ({type(error).__name__})") from None


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r:.80} is there twice")
        found[key] = value
    return found
