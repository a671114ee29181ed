"""StarvationWarning: pushes arrive, and none is applied. No I/O: the caller passes the time.

That happens when every worker is too slow for the bound on staleness: they are all busy, and nothing is learned.
"""

from __future__ import annotations

from distrib.ps.policy.admission.push_counts import PushCounts

_LEAST = 5
"""Pushes in a row: fewer in so long a time are those of workers that do something else, such as an evaluation."""


class StarvationWarning:
    """Watches the counters of a job.

    Args:
        limit_s: seconds without an applied push from one warning to the next.
    """

    def __init__(self, limit_s: float = 30.0) -> None:
        self._limit_s = limit_s
        self._applied = self._dropped = 0
        self._since: float | None = None

    def seen(self, counts: PushCounts, now: float) -> str:
        """The warning, if it is due; empty otherwise.

        Args:
            counts: of all workers.
            now: seconds.
        """
        if counts.applied != self._applied:
            self._applied, self._dropped, self._since = counts.applied, counts.dropped, None
        row = counts.dropped - self._dropped
        if row and self._since is None:
            self._since = now  # of the first: what nobody pushes is not dropped
        if self._since is None or row < _LEAST or now - self._since < self._limit_s:
            return ""
        seconds = now - self._since
        self._dropped, self._since = counts.dropped, None
        return (
            f"100 % of the pushes are dropped: {row} in {seconds:.0f} s. All workers are too slow for the bound on "
            "staleness; allow more, or scale instead of dropping."
        )
