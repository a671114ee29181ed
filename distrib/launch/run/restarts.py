"""Restarts: how often what is lost may be started again in one start, workers and the ps together. Values only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Restarts:
    """Those that are left.

    Attributes:
        left: how many.
    """

    left: int
