"""The table that `model.summary()` prints, as Keras draws it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from distrib.base.arrays import Shape

_WIDTHS = (32, 22, 14)
_CONNECTED = "Connected to"


class Row(NamedTuple):
    """One layer in the table.

    Attributes:
        layer: the layer, or a model that is used as one.
        name: its name in the model.
        shapes: shape of one example of each output.
        connected: `layer[call][output]` of each value that it takes; None where layers are in a row.
        nested: the rows of a model that is used as a layer.
    """

    layer: Any
    name: str
    shapes: tuple[Shape, ...]
    connected: tuple[str, ...] | None = None
    nested: tuple[Row, ...] = ()


def summary_table(
    name: str,
    rows: Sequence[Row],
    counts: tuple[int, int, int],
    line_length: int | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
) -> Iterator[str]:
    """The lines of the table.

    Args:
        name: of the model.
        rows: its layers.
        counts: number of elements of all variables, number of those that are trainable now, and bytes of each.
        line_length: width of the table.
        expand_nested: also show the layers of models that are layers.
        show_trainable: a column that says whether an optimizer may update the layer.
    """
    heads = ["Layer (type)", "Output Shape", "Param #"]
    if any(row.connected is not None for row in rows):
        heads.append(_CONNECTED)
    if show_trainable:
        heads.append("Trainable")
    lines = [cells for row in rows for cells in _cells(row, heads, expand_nested, "")]
    least = [*_WIDTHS, *[len(head) + 2 for head in heads[3:]]]
    widths = [
        max(width, *(len(line[index]) + 2 for line in [heads, *lines])) for index, width in enumerate(least)
    ]
    widths[-1] += max(0, (line_length or 0) - sum(widths))
    yield f'Model: "{name}"'
    yield "─" * sum(widths)
    yield _row(heads, widths)
    yield "━" * sum(widths)
    for line in lines:
        yield _row(line, widths)
    yield "─" * sum(widths)
    total, trainable, itemsize = counts
    for label, count in (("Total", total), ("Trainable", trainable), ("Non-trainable", total - trainable)):
        yield f" {label} params: {count:,} ({_bytes(count * itemsize)})"


def _cells(row: Row, heads: Sequence[str], expand_nested: bool, indent: str) -> Iterator[list[str]]:
    """The cells of one layer, in one line or, where it takes several values, in several."""
    shapes = ", ".join(str((None, *shape)) for shape in row.shapes)
    cells = [f"{indent}{row.name} ({type(row.layer).__name__})", shapes, f"{row.layer.count_params():,}"]
    connected = row.connected or ("-",)
    if _CONNECTED in heads:
        cells.append(connected[0] + ("," if len(connected) > 1 else ""))
    if "Trainable" in heads:
        cells.append("Y" if row.layer.trainable else "N")
    yield cells
    if _CONNECTED in heads:
        for index, each in enumerate(connected[1:], 2):
            more = ["", "", "", each + ("," if index < len(connected) else "")]
            yield more + [""] * (len(heads) - len(more))
    if expand_nested:
        for nested in row.nested:
            yield from _cells(nested._replace(connected=()), heads, True, f"{indent}└ ")


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Names and shapes to the left, numbers to the right."""
    placed = [
        f"{cell:>{width - 1}} " if index == 2 else f" {cell:<{width - 1}}"
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "".join(placed).rstrip()


def _bytes(count: int) -> str:
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.2f} KB" if count < 1024**2 else f"{count / 1024**2:.2f} MB"
