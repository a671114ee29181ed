"""Backoff: what fails soon after its start is started again later each time, and at last not at all."""

from __future__ import annotations

_SHORT_S = 5.0
_DELAYS_S = (1.0, 2.0, 4.0)

TRIES = len(_DELAYS_S) + 1
"""Starts in a row that fail soon, before there is no other."""


class Backoff:
    """Of one thing that is started again."""

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
