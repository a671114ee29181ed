"""`timeseries_dataset_from_array`: windows of a series as a `Dataset` of batches; they are cut when they are used."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError
from distrib.data.pipeline.dataset import Dataset
from distrib.data.pipeline.structure import as_component


@checked
def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
    format: str = "tf",
) -> Dataset:
    """Windows of a series, in batches.

    The data is not copied: it may be a file that is mapped into memory (`np.load(..., mmap_mode="r")`), of which each
    replica reads its part of every batch.

    Args:
        data: `(steps, ...)`.
        targets: `(steps, ...)`: `targets[i]` belongs to the window that begins at `data[i]`; None for none.
        sequence_length: steps of a window.
        sequence_stride: steps from the beginning of one window to that of the next.
        sampling_rate: steps from one value of a window to the next.
        batch_size: windows of a batch; None for a data set of single windows.
        shuffle: whether every pass has the windows in another order.
        seed: of the order; by default that of `fit`, which the replicas have agreed on.
        start_index: first step that is used; 0 by default.
        end_index: the step behind the last one that is used; the number of steps by default.
        format: `"tf"`: there is one kind of data set.

    Returns:
        A `Dataset` of `(windows, targets)`, or of windows without targets: `(batch, sequence_length, ...)` and
        `(batch, ...)`, with the dtypes of the arrays.

    Raises:
        ConfigError: a number out of range.
    """
    series = as_component(data)
    expected = None if targets is None else as_component(targets)
    count = len(series)
    _within(1, None, sequence_length=sequence_length)
    _within(1, count - 1, sequence_stride=sequence_stride, sampling_rate=sampling_rate)
    _within(0, count - 1, start_index=start_index or 0)
    _within((start_index or 0) + 1, count - 1, **({"end_index": end_index} if end_index else {}))
    if format != "tf":
        raise ConfigError(
            f"Expected format='tf': there is one kind of data set. Received: format={format!r}."
        )
    begin, end = start_index or 0, end_index or count
    num_windows = end - begin - (sequence_length - 1) * sampling_rate
    if expected is not None:
        expected = expected[begin:end]
        num_windows = min(num_windows, len(expected))
    reach = (sequence_length - 1) * sampling_rate + 1

    def window(position: Array) -> Any:
        at = begin + int(position)
        values = series[at : at + reach : sampling_rate]
        return values if expected is None else (values, expected[int(position)])

    positions = np.arange(0, num_windows, sequence_stride)
    windows = Dataset.from_tensor_slices(positions)
    if shuffle:
        windows = windows.shuffle(max(1, len(positions)), seed)
    windows = windows.map(window)
    return windows if batch_size is None else windows.batch(batch_size)


def _within(least: int, largest: int | None, **given: int) -> None:
    """Raise `ConfigError` for a number out of range, by its name."""
    for name, value in given.items():
        if value < least or (largest is not None and value > largest):
            upper = "" if largest is None else f" <= {largest}"
            raise ConfigError(
                f"Expected {least} <= {name}{upper}{' for this data' if upper else ''}. Received: {name}={value}."
            )
