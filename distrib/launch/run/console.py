"""Prints a line of the launcher for the user."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """Tell the user something."""
    if not line.lstrip().startswith(("distrib:", "|")):
        line = f"distrib: {line}"
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        pass  # the reader is gone
