"""Which range of the flat vectors each ps keeps: near-equal ones, or ones that begin at the borders of tensors."""

from __future__ import annotations

from typing import Any

from distrib.base.errors import ProtocolError
from distrib.base.ranges import Range, cut_at, split


def ranges_of(description: dict[str, Any], count: int) -> list[Range]:
    """The ranges of all ps, in their order.

    Args:
        description: of a model: `size`, and with `whole_tensors` the `layout` (name, begin, end), whose tensors are
            not to be cut.
        count: number of ps.

    Raises:
        ProtocolError: the tensors do not lie one after the other.
    """
    size = int(description["size"])
    if not description.get("whole_tensors"):
        return split(size, count)
    borders = [0]
    for _, begin, end in description["layout"]:
        if begin != borders[-1] or end < begin:
            raise ProtocolError("Expected tensors one after the other in the layout.")
        borders.append(end)
    if borders[-1] != size:
        raise ProtocolError(f"Expected tensors of {size} elements together. Received: {borders[-1]}.")
    return cut_at(borders, count)
