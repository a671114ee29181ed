"""TimeAccounting: the time of a worker by cause: compute, push, pull, or barrier."""

from __future__ import annotations

import time

from distrib.ps.policy.admission.push_counts import CAUSES


class TimeAccounting:
    """A clock that is read when a call begins, and when its answer is here.

    Attributes:
        seconds: so far, by cause: `compute` (and what the script does between), `push` and `pull` (gradients and
            values travel, or are copied), `barrier` (the ps had the call, but was busy, or waited for other workers).
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(CAUSES, 0.0)
        self._since = time.monotonic()

    def asks(self) -> None:
        """A call begins."""
        now = time.monotonic()
        self.seconds["compute"] += now - self._since
        self._since = now

    def has_answer(self, barrier_s: float, pull_s: float) -> None:
        """The answer is here. With `prefetch` some of what follows happened during the computing, and is not counted.

        Args:
            barrier_s: seconds for which the ps had the call.
            pull_s: seconds in which the values came.
        """
        now = time.monotonic()
        took, self._since = now - self._since, now
        pull = min(pull_s, took)
        barrier = min(barrier_s, took - pull)
        for cause, seconds in (("pull", pull), ("barrier", barrier), ("push", took - pull - barrier)):
            self.seconds[cause] += seconds
