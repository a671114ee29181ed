"""SnapshotSchedule: when the log is cut, so that all ps save the same state. No I/O.

Cuts are made at the beginning and the end of every phase, and after every `every` updates. Workers learn of a change
of phase only once its cut is on disk.
"""

from __future__ import annotations


class SnapshotSchedule:
    """Numbers the cuts of a job.

    Args:
        every: updates between two.

    Attributes:
        number: of the last one.
        border: number of the last one that was at the beginning or end of a phase.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self.number = self.border = 0
        self._num_borders = self._version = 0

    def restore(self, number: int, num_borders: int, version: int) -> None:
        """Go on from a cut."""
        self.number, self._num_borders, self._version = number, num_borders, version

    def begin_after(self, number: int) -> None:
        """Number the cuts behind this one, as of an earlier job."""
        self.number = max(self.number, number)

    def is_due(self, num_borders: int, version: int, is_busy: bool = False) -> bool:
        """Whether to cut now. If so, `number` becomes the number of the new cut.

        Args:
            is_busy: whether the last cut is still being saved: then only borders are cut, so that what waits to be
                written does not grow.
            num_borders: beginnings and ends of phases so far.
            version: updates so far.
        """
        at_border = num_borders > self._num_borders
        if not at_border and (is_busy or version < self._version + self._every):
            return False
        self._num_borders, self._version = num_borders, version
        self.next()
        if at_border:
            self.border = self.number
        return True

    def next(self) -> int:
        """Cut here; the number of the cut."""
        self.number += 1
        return self.number
