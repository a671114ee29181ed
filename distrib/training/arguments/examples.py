"""Examples: what a user passed as x, y and weights, checked on this replica before anything is sent."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from distrib.base.arrays import Array, Columns, columns
from distrib.base.errors import ConfigError, DataError
from distrib.data.schedule import Schedule
from distrib.training.arguments.class_weight import weights_of_classes
from distrib.training.arguments.data_structure import ONE_ARRAY, DataStructure

_HASHED_ROWS = 64


ValidationData: TypeAlias = Any
"""`(x, y)` or `(x, y, sample_weight)`; or data that comes in batches of these."""


class Examples:
    """Inputs, targets and weights of the same length.

    Args:
        x: `(examples, ...)`, or several of these.
        y: `(examples, ...)`, or several of these.
        sample_weight: `(examples,)`, or several of these, or None.
        structure: of the model, which says what several arrays are.

    Raises:
        DataError: empty, not numeric, or of different lengths.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        structure: DataStructure = ONE_ARRAY,
    ) -> None:
        self.x, self.y = structure.inputs_of(x), structure.outputs_of(y)
        self.weight = structure.weights_of(sample_weight)
        lengths = {"x": _length(self.x), "y": _length(self.y)}
        if self.weight is not None:
            for each in columns(self.weight):
                if each.ndim != 1:
                    raise DataError(f"sample_weight has shape (examples,). Received: {each.shape}.")
            lengths["sample_weight"] = _length(self.weight)
        if len(set(lengths.values())) > 1:
            raise DataError(f"Expected the same number of examples in each. Received: {lengths}.")
        if not len(self):
            raise DataError("Expected at least one example. Received: empty data.")

    def __len__(self) -> int:
        return len(columns(self.x)[0])

    def split(self, fraction: float) -> tuple[Examples, Examples]:
        """The first part, and the last `fraction` of the examples (before any shuffling), as Keras does.

        Raises:
            DataError: one of the two would be empty.
        """
        boundary = int(len(self) * (1.0 - fraction))
        if not 0 < boundary < len(self):
            raise DataError(
                f"validation_split={fraction} of {len(self)} examples leaves one part empty. "
                "Choose another fraction in (0, 1), or pass validation_data."
            )
        return self._rows(slice(0, boundary)), self._rows(slice(boundary, None))

    def weighted_by_class(self, class_weight: Mapping[int, float], num_outputs: int) -> Examples:
        """The same examples, each with the weight of its class. For training only: a validation has none.

        Args:
            class_weight: label -> weight; 1.0 for a label that is not in it.
            num_outputs: of the model, which says what labels there are.

        Raises:
            ConfigError: weights of examples are given too, or `class_weight` is not as described.
        """
        if self.weight is not None:
            raise ConfigError("Pass class_weight or sample_weight, not both.")
        assert not isinstance(self.y, tuple)
        return self._of(self.x, self.y, weights_of_classes(self.y, class_weight, num_outputs))

    def first(self, steps: int | None, batch_size: int, name: str) -> Examples:
        """The examples of the first batches.

        Args:
            steps: number of batches; None for all.
            batch_size: examples of each.
            name: of the argument, for the error message.

        Raises:
            ConfigError: less than one.
        """
        steps = checked_steps(steps, len(self), name)
        return self if steps * batch_size >= len(self) else self._rows(slice(0, steps * batch_size))

    def schedule(self, batch_size: int, steps: int | None, shuffle: bool, seed: int) -> Schedule:
        """Which examples make up which batch; see `Schedule`.

        Args:
            batch_size: examples of a batch over all replicas.
            steps: of an epoch; None for one pass over the data.
            shuffle: draw a new order for every pass.
            seed: of the orders.
        """
        return Schedule(len(self), batch_size, steps, shuffle, seed)

    def _rows(self, rows: slice) -> Examples:
        weight = None if self.weight is None else _rows(self.weight, rows)
        return self._of(_rows(self.x, rows), _rows(self.y, rows), weight)

    @staticmethod
    def _of(x: Columns, y: Columns, weight: Columns | None) -> Examples:
        """Arrays that are checked already."""
        examples = Examples.__new__(Examples)
        examples.x, examples.y, examples.weight = x, y, weight
        return examples

    def describe(self) -> dict[str, Any]:
        """Shapes, dtypes and a checksum of some rows, as JSON values, to compare between replicas."""
        arrays = {"x": self.x, "y": self.y, "sample_weight": self.weight}
        return {name: None if array is None else _described(array) for name, array in arrays.items()}


def checked_steps(steps: int | None, default: int, name: str) -> int:
    """The number of steps, if it was given. Raises `ConfigError` below 1."""
    if steps is not None and steps < 1:
        raise ConfigError(f"Expected {name} >= 1. Received: {name}={steps}.")
    return default if steps is None else steps


def _described(arrays: Columns) -> list[Any]:
    if isinstance(arrays, tuple):
        return [_described(each) for each in arrays]
    return [list(arrays.shape), arrays.dtype.str, _checksum(arrays)]


def _length(arrays: Columns) -> int:
    """Number of examples. Raises `DataError` unless it is the same for all arrays."""
    lengths = [len(each) for each in columns(arrays)]
    if len(set(lengths)) > 1:
        raise DataError(f"Expected the same number of examples in each. Received: {lengths}.")
    return lengths[0]


def _rows(arrays: Columns, rows: slice) -> Columns:
    return tuple(each[rows] for each in arrays) if isinstance(arrays, tuple) else arrays[rows]


def _checksum(array: Array) -> str:
    """CRC-32 of up to `_HASHED_ROWS` rows spread evenly over the array."""
    step = max(1, len(array) // _HASHED_ROWS)
    return f"{zlib.crc32(np.ascontiguousarray(array[::step]).tobytes()):08x}"
