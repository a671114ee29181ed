"""Stagnation: pushes come, and none is applied. A plain class, without I/O; the caller brings the time.

That happens when every worker is too slow for the bound on staleness: they are all busy, and nothing is learned.
"""

from __future__ import annotations

from distrib.ps.counts import Counts


class Stagnation:
    """Watches the counters of a job.

    Args:
        limit_s: seconds without an applied push, after which it is told, again and again.
    """

    def __init__(self, limit_s: float = 30.0) -> None:
        self._limit_s = limit_s
        self._applied = self._dropped = 0
        self._since: float | None = None

    def seen(self, counts: Counts, now: float) -> str:
        """What to tell people, if it is time to; else nothing.

        Args:
            counts: of all workers.
            now: seconds.
        """
        if self._since is None or counts.applied != self._applied:
            self._applied, self._dropped, self._since = counts.applied, counts.dropped, now
        row, seconds = counts.dropped - self._dropped, now - self._since
        if seconds < self._limit_s or not row:
            return ""
        self._dropped, self._since = counts.dropped, now
        return (
            f"100 % of the pushes are dropped: {row} in {seconds:.0f} s. All workers are too slow for the bound on "
            "staleness; allow more, or scale instead of dropping."
        )
