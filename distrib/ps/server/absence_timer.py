"""AbsenceTimer: calls back when a process has been disconnected for longer than a limit."""

from __future__ import annotations

import threading
from collections.abc import Callable


class AbsenceTimer:
    """Of one process.

    Args:
        limit_s: seconds.
        too_long: called, from another thread, when it lasts longer.
    """

    def __init__(self, limit_s: float, too_long: Callable[[], None]) -> None:
        self._limit_s, self._too_long = limit_s, too_long
        self._timer: threading.Timer | None = None

    def begin(self) -> None:
        """It is away."""
        self.end()
        self._timer = threading.Timer(self._limit_s, self._too_long)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """It is back, or nobody waits for it any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
