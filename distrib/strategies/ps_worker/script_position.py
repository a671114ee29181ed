"""ScriptPosition: where a worker is in its script, which all workers of a job run."""

from __future__ import annotations


class ScriptPosition:
    """Counts the phases of this worker's script, and its pushes."""

    def __init__(self) -> None:
        self.next = 0
        self.sequence = 0

    def advance(self) -> int:
        """The phase that begins now."""
        self.next += 1
        return self.next - 1
