"""The table that `model.summary()` prints."""

from __future__ import annotations

from collections.abc import Iterator

from distrib.nn.network import Network

_WIDTHS = (32, 22, 14)


def summary_table(name: str, network: Network, trainable: int) -> Iterator[str]:
    """The lines of the table.

    Args:
        name: of the model.
        network: its layers.
        trainable: number of elements of what is trainable now.
    """
    yield f'Model: "{name}"'
    yield "─" * sum(_WIDTHS)
    yield _row("Layer (type)", "Output Shape", "Param #")
    yield "━" * sum(_WIDTHS)
    for layer in network.layers:
        shape = str((None, *layer.output_shape))
        yield _row(
            f"{layer.name} ({type(layer).__name__})", shape, f"{sum(v.size for v in layer.variables):,}"
        )
    yield "─" * sum(_WIDTHS)
    total = sum(variable.size for variable in network.variables.values())
    for label, count in (("Total", total), ("Trainable", trainable), ("Non-trainable", total - trainable)):
        yield f" {label} params: {count:,} ({_bytes(count * network.dtype.itemsize)})"


def _row(*cells: str) -> str:
    first, second, third = cells
    return f" {first:<{_WIDTHS[0] - 1}}{second:<{_WIDTHS[1]}}{third:>{_WIDTHS[2]}}"


def _bytes(count: int) -> str:
    if count < 1024:
        return f"{count} B"
    return f"{count / 1024:.2f} KB" if count < 1024**2 else f"{count / 1024**2:.2f} MB"
