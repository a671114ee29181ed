"""Which ranks a collective waits for."""

from __future__ import annotations

from collections.abc import Sequence


def who_is_late(sequence: int, working: Sequence[tuple[int, str]]) -> str:
    """The ranks that collective `sequence` waits for, as text.

    Args:
        sequence: a collective.
        working: the ranks that do not wait: the collective in which each is, and a description of the rank.

    Returns:
        One or two sentences; nothing if it is none of them.
    """
    absent = ", ".join(who for at, who in working if at < sequence)
    within = ", ".join(who for at, who in working if at == sequence)
    return " ".join(
        ([f"Not there: {absent}."] if absent else []) + ([f"Not done with it: {within}."] if within else [])
    )
