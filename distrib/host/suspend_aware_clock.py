"""SuspendAwareClock: a clock that stands still while this process is suspended.

A process does not notice that it was stopped, or its machine suspended. By any other clock all others would then have
been silent for as long.
"""

from __future__ import annotations

import time

_LONGEST_STEP_S = 1.0


class SuspendAwareClock:
    """Counts from 0, as long as `tick` is called more often than once a second.

    Attributes:
        seconds: for how long this process has been awake.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last = time.monotonic()

    def tick(self) -> None:
        """Go on to now; what is too long for a step counts as a second of it."""
        now = time.monotonic()
        self.seconds += min(now - self._last, _LONGEST_STEP_S)
        self._last = now
