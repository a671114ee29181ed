"""Identifiers: the chief's number, the number of the deciding ps, and the name of a push."""

from __future__ import annotations

from typing import NamedTuple

CHIEF = 0
"""The number of the worker that is the chief."""

SEQUENCER = 0
"""The number of the ps that decides."""


class PushId(NamedTuple):
    """Names a push. A retry has the same name, so it is counted once."""

    worker: int
    incarnation: int
    sequence: int
