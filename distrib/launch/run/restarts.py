"""Restarts: how many restarts are left within one attempt. Values only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Restarts:
    """Those that are left.

    Attributes:
        left: how many.
    """

    left: int
