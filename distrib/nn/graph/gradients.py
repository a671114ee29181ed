"""The gradients of the values of a network, while it goes backwards through its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrib.base.arrays import Array


def add(gradients: list[Array | None], number: int, gradient: Array) -> None:
    """Add to the gradient of a value. The memory of each is for one reader, so the first may be written to."""
    before = gradients[number]
    if before is None:
        gradients[number] = gradient
    else:
        before += gradient


def of_several(
    targets: Sequence[int], gradients: Sequence[Array | None], values: Sequence[Any]
) -> list[Array] | None:
    """The gradients of what a layer with several outputs has computed; None if no loss depends on any.

    Args:
        targets: the numbers of the values.
        gradients: of all values.
        values: all of them.
    """
    found = [gradients[each] for each in targets]
    if all(each is None for each in found):
        return None
    return [
        np.zeros_like(values[target]) if each is None else each
        for target, each in zip(targets, found, strict=True)
    ]


def zeros_like(target: int | tuple[int, ...], values: Sequence[Any]) -> Any:
    """Zeros for the gradient of what a layer has computed."""
    if isinstance(target, int):
        return np.zeros_like(values[target])
    return [np.zeros_like(values[each]) for each in target]
