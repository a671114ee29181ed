"""Names: of runs, of checkpoints and of their files. They become parts of paths, so no path can hide in one."""

from __future__ import annotations

import re

NAME_RULE = "1 to 64 letters, digits, '_', '-' and '.' of ASCII, and neither '-' nor '.' first"
"""Names of numbers, for error messages."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")


def is_name(name: object) -> bool:
    """Whether it is one."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None
