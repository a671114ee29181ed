"""AbsenceTimer: calls back when a process has been disconnected for longer than a limit."""

from __future__ import annotations

import threading
from collections.abc import Callable


class AbsenceTimer:
    """Limits how long one process may be disconnected.

    Args:
        limit_s: seconds.
        too_long: called, from another thread, when it lasts longer.
    """

    def __init__(self, limit_s: float, too_long: Callable[[], None]) -> None:
        self._limit_s, self._too_long = limit_s, too_long
        self._timer: threading.Timer | None = None

    def begin(self) -> None:
        """Start the timer: the process has disconnected."""
        self.end()
        self._timer = threading.Timer(self._limit_s, self._too_long)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """Stop the timer: the process is back, or no longer awaited."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
