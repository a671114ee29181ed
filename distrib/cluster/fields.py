"""Reading values whose types are not known yet: what is wrong is said with the path of the field."""

from __future__ import annotations

import json
from typing import Any

from distrib.base.errors import ConfigError

_SHOWN_CHARACTERS = 80
_LARGEST_INDEX = 999_999


def wrong(path: str, expected: str, received: object, advice: str = "") -> ConfigError:
    """The error to raise about a field.

    Args:
        path: where, such as `cluster.worker[1]`.
        expected: description of what is expected.
        received: what is there; long values are cut.
        advice: what to do about it, as a sentence.
    """
    where = "".join(character if character.isprintable() else "?" for character in path)
    shown = json.dumps(received, default=str)
    return ConfigError(
        f"{_cut(where)}: expected {expected}. Received: {_cut(shown)}.{' ' * bool(advice)}{advice}"
    )


def table(value: object, path: str) -> dict[str, Any]:
    """`value`, which must be a table (an object, in JSON)."""
    if not isinstance(value, dict):
        raise wrong(path, "a table", value)
    return value


def string(value: object, path: str) -> str:
    """`value`, which must be a string that fits on one line."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise wrong(path, "a string of printable characters", value)
    return value


def strings(value: object, path: str) -> tuple[str, ...]:
    """`value`, which must be a list of strings that fit on one line."""
    if not isinstance(value, list):
        raise wrong(path, "a list of strings", value)
    return tuple(string(item, f"{path}[{i}]") for i, item in enumerate(value))


def index(value: object, path: str) -> int:
    """`value`, which must be the number of a task: an integer, or its digits as TensorFlow allows."""
    number: object = value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        number = int(value)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _LARGEST_INDEX:
        raise wrong(path, f"an integer from 0 to {_LARGEST_INDEX}", value)
    return number


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
