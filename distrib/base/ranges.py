"""Half-open ranges `[begin, end)`: shards of a batch, chunks of a ring, ranges of a flat vector."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Range(NamedTuple):
    """The half-open range `[begin, end)`."""

    begin: int
    end: int

    @property
    def size(self) -> int:
        """Number of elements in the range."""
        return self.end - self.begin

    @property
    def slice(self) -> slice:
        """The range as a Python slice."""
        return slice(self.begin, self.end)

    def intersect(self, other: Range) -> Range:
        """The elements both ranges hold (an empty range where they are disjoint)."""
        begin = max(self.begin, other.begin)
        return Range(begin, max(begin, min(self.end, other.end)))

    def part(self, index: int, count: int) -> Range:
        """Part `index` of `count` near-equal consecutive parts.

        The first `size % count` parts hold one element more; parts may be empty.
        """
        small, larger = divmod(self.size, count)
        begin = self.begin + index * small + min(index, larger)
        return Range(begin, begin + small + (index < larger))


def cut_at(borders: Sequence[int], count: int) -> list[Range]:
    """The range from the first border to the last, cut into `count` consecutive ranges at some of the borders.

    Each cut is at the border next to where `split` would cut; ranges may be empty.

    Args:
        borders: ascending; at least one.
        count: number of ranges.
    """
    whole = Range(borders[0], borders[-1])
    ideal = [whole.part(index, count).begin for index in range(1, count)]
    cuts = [whole.begin, *(min(borders, key=lambda border: abs(border - each)) for each in ideal), whole.end]
    return [Range(begin, end) for begin, end in pairwise(cuts)]


def split(size: int, count: int) -> list[Range]:
    """`[0, size)` cut into `count` near-equal consecutive ranges."""
    whole = Range(0, size)
    return [whole.part(index, count) for index in range(count)]
