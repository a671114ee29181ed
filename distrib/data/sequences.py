"""Sequences: windows of a series as a data set, and lists of different lengths as one array; Keras' functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, DataError
from distrib.data.pipeline.dataset import Dataset


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
) -> Dataset:
    """Windows of a series, and the target of each. None is copied before it is used.

    Args:
        data: `(steps, ...)`, one row for each step in time.
        targets: `(steps, ...)`, the one at the first step of a window; None for windows alone.
        sequence_length: steps of a window.
        sequence_stride: from the first step of a window to that of the next.
        sampling_rate: from one step of a window to the next.
        batch_size: windows of a batch; None for single windows.
        shuffle: draw a new order for every pass.
        seed: of the order.
        start_index: the first step that is used; 0 by default.
        end_index: the step behind the last one that is used; all by default.

    Returns:
        Batches of windows `(batch, sequence_length, ...)`, or of pairs of windows and targets `(batch, ...)`.

    Raises:
        ConfigError: a number below 1, or indices that are not in order.
        DataError: no window fits in.
    """
    numbers = {
        "sequence_length": sequence_length,
        "sequence_stride": sequence_stride,
        "sampling_rate": sampling_rate,
    }
    for name, value in {**numbers, "batch_size": 1 if batch_size is None else batch_size}.items():
        if value < 1:
            raise ConfigError(f"Expected {name} >= 1. Received: {name}={value}.")
    steps = np.asarray(data) if not isinstance(data, np.ndarray) else data
    begin, end = start_index or 0, len(steps) if end_index is None else end_index
    if not 0 <= begin < end <= len(steps):
        raise ConfigError(
            f"Expected 0 <= start_index < end_index <= {len(steps)}. Received: start_index={start_index}, "
            f"end_index={end_index}."
        )
    count = end - begin - (sequence_length - 1) * sampling_rate
    labels = None if targets is None else np.asarray(targets)
    if labels is not None:
        count = min(count, len(labels))
    if count < 1:
        raise DataError(
            f"No window of {sequence_length} steps fits into {end - begin} steps, with sampling_rate={sampling_rate}."
        )
    reach = sequence_length * sampling_rate

    def window(first: Any) -> Any:
        place = begin + int(first)
        steps_of = steps[place : place + reach : sampling_rate]
        return steps_of if labels is None else (steps_of, labels[place])

    firsts = np.arange(0, count, sequence_stride)
    dataset = Dataset.from_tensor_slices(firsts)
    if shuffle:
        dataset = dataset.shuffle(len(firsts), seed)
    dataset = dataset.map(window)
    return dataset if batch_size is None else dataset.batch(batch_size)


@checked
def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0.0,
) -> Array:
    """Sequences of different lengths as one array.

    Args:
        sequences: lists or arrays, each of its own length, of numbers or of rows of one shape.
        maxlen: length of all; that of the longest by default.
        dtype: of the array.
        padding: `"pre"` or `"post"`: where `value` is filled in.
        truncating: `"pre"` or `"post"`: where longer ones are cut off.
        value: what is filled in.

    Returns:
        `(sequences, maxlen, ...)`.

    Raises:
        ConfigError: another word for `padding` or `truncating`.
        DataError: rows of different shapes.
    """
    for name, word in (("padding", padding), ("truncating", truncating)):
        if word not in ("pre", "post"):
            raise ConfigError(f"Expected {name} pre or post. Received: {name}={word!r}.")
    arrays = [np.asarray(each) for each in sequences]
    shapes = {each.shape[1:] for each in arrays if len(each)}
    if len(shapes) > 1:
        raise DataError(f"pad_sequences expects rows of one shape. Received: {sorted(shapes)}.")
    length = max(map(len, arrays), default=0) if maxlen is None else maxlen
    made = np.full((len(arrays), length, *next(iter(shapes), ())), value, dtype)
    for row, each in zip(made, arrays, strict=True):
        kept = each[len(each) - length :] if truncating == "pre" and len(each) > length else each[:length]
        if len(kept):
            row[slice(0, len(kept)) if padding == "post" else slice(length - len(kept), length)] = kept
    return made
