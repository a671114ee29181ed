"""Backoff: restarts what fails soon after its start with growing delays, and finally gives up."""

from __future__ import annotations

_SHORT_S = 5.0
_DELAYS_S = (1.0, 2.0, 4.0)

TRIES = len(_DELAYS_S) + 1
"""Starts in a row that fail soon, before there is no other."""


class Backoff:
    """The delays of one task or attempt."""

    def __init__(self) -> None:
        self._short = 0

    def delay(self, lived_s: float) -> float | None:
        """How many seconds to wait until the next start; None where there should be none.

        Args:
            lived_s: how many seconds passed from the last start to the failure.
        """
        self._short = self._short + 1 if lived_s < _SHORT_S else 0
        if self._short >= TRIES:
            return None
        return _DELAYS_S[self._short - 1] if self._short else 0.0


class WorkerRestarts:
    """Workers that are started again alone. No I/O: the caller passes the monotonic time."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._due: dict[str, float] = {}

    def begin(self, name: str, now: float) -> None:
        """A worker starts."""
        self._began[name] = now

    def plan(self, name: str, failed_at: float, now: float) -> float | None:
        """A worker has failed: in how many seconds it starts again; None if it has failed too often.

        Args:
            name: of the worker.
            failed_at: monotonic time of the failure.
            now: monotonic time.
        """
        delay = self._backoffs.setdefault(name, Backoff()).delay(failed_at - self._began[name])
        if delay is not None:
            self._due[name] = now + delay
        return delay

    def take_due(self, now: float) -> list[str]:
        """The workers that start now; each once."""
        names = [name for name, when in self._due.items() if now >= when]
        for name in names:
            del self._due[name]
        return names
