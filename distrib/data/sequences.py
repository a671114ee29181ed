"""Sequences of different lengths as one array: `pad_sequences`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrib.base.arguments import checked
from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, DataError


@checked
def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> Array:
    """Sequences filled up or cut to one length.

    Args:
        sequences: the sequences, each `(steps,)` or `(steps, ...)`.
        maxlen: the length; that of the longest by default.
        dtype: of the result.
        padding: whether they are filled up before them (`"pre"`) or behind them (`"post"`).
        truncating: whether longer ones are cut at their beginning (`"pre"`) or at their end (`"post"`).
        value: what they are filled up with.

    Returns:
        `(sequences, maxlen, ...)`.

    Raises:
        ConfigError: `padding` or `truncating` is neither `"pre"` nor `"post"`.
        DataError: one is no sequence, or its steps have another shape.
    """
    for name, given in (("padding", padding), ("truncating", truncating)):
        if given not in ("pre", "post"):
            raise ConfigError(f"Expected {name} to be 'pre' or 'post'. Received: {name}={given!r}.")
    if maxlen is not None and maxlen < 1:
        raise ConfigError(f"Expected maxlen >= 1. Received: maxlen={maxlen}.")
    try:
        longest = max((len(each) for each in sequences), default=0)
    except TypeError:
        raise DataError(
            "pad_sequences expects a list of sequences. Received: one that has no length."
        ) from None
    length = longest if maxlen is None else maxlen
    shape = next((np.shape(each)[1:] for each in sequences if len(each)), ())
    made = np.full((len(sequences), length, *shape), value, dtype)
    for number, (row, each) in enumerate(zip(made, sequences, strict=True)):
        kept = np.asarray(each[-length:] if truncating == "pre" else each[:length], dtype)
        if not len(kept):
            continue
        if kept.shape[1:] != shape:
            raise DataError(
                f"pad_sequences expects steps of one shape. Received: {shape}, and {kept.shape[1:]} in "
                f"sequence {number}."
            )
        row[slice(length - len(kept), None) if padding == "pre" else slice(len(kept))] = kept
    return made
