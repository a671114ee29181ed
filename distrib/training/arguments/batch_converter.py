"""BatchConverter: what network and loss take of a batch of data that is read while a model is trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.base.arrays import Array, Columns, columns
from distrib.base.errors import DistribError
from distrib.data.pipeline.structure import leaves, mapped
from distrib.nn.network import Network
from distrib.training.arguments.batched_data import BatchedData, split_batch
from distrib.training.arguments.compile_config import CompileConfig
from distrib.training.arguments.data_structure import DataStructure
from distrib.training.arguments.examples import Examples


class BatchConverter:
    """Checks and converts batches.

    Args:
        data: the data.
        structure: of the model.
        compiled: its losses.
        network: None for a model that does not say what its outputs are.
        dtype: of the model.
    """

    def __init__(
        self,
        data: BatchedData,
        structure: DataStructure,
        compiled: CompileConfig,
        network: Network | None,
        dtype: np.dtype[Any],
    ) -> None:
        self._structure, self._compiled, self._network, self._dtype = structure, compiled, network, dtype
        self._class_weight = data.class_weight
        self._sample = (data.x, data.y, data.weight)
        self._nothing: tuple[Columns, Columns, Columns | None] | None = None

    def __call__(self, batch: Any, number: int) -> tuple[Columns, Columns, Columns | None]:
        """Inputs, targets and weights of a batch; `number` is that of the batch, for error messages."""
        try:
            x, y, weight = split_batch(batch)
            if len(next(leaves(x))):
                return self._converted(x, y, weight)
            if self._nothing is None:
                x, y, weight = self._converted(*self._sample)
                self._nothing = _no_rows(x), _no_rows(y), None if weight is None else _no_rows(weight)
            return self._nothing
        except DistribError as error:
            raise type(error)(f"Batch {number}: {error}") from error

    def _converted(self, x: Any, y: Any, weight: Any) -> tuple[Columns, Columns, Columns | None]:
        examples = self.examples(x, y, weight)
        if self._network is None:
            return self._in_dtype(examples.x), examples.y, self._weights(examples)
        self._network.check_input(examples.x)
        targets = self._compiled.prepare(examples.y, self._network)
        if self._class_weight is not None:
            shape = self._network.output_shape
            examples = examples.weighted_by_class(self._class_weight, shape[-1] if shape else 1)
        return self._in_dtype(examples.x), targets, self._weights(examples)

    def examples(self, x: Any, y: Any, weight: Any) -> Examples:
        """Checked arrays. Where there are no targets, there are zeros that nobody looks at."""
        if y is None:
            nothing = np.zeros(len(next(leaves(x))), self._dtype)
            y = [nothing] * len(self._structure.outputs) if len(self._structure.outputs) > 1 else nothing
        return Examples(_in_lists(x), _in_lists(y), _in_lists(weight), self._structure)

    def _weights(self, examples: Examples) -> Columns | None:
        return None if examples.weight is None else self._in_dtype(examples.weight)

    def _in_dtype(self, arrays: Columns) -> Columns:
        made = tuple(np.ascontiguousarray(each, self._dtype) for each in columns(arrays))
        return made if isinstance(arrays, tuple) else made[0]


def _in_lists(value: Any) -> Any:
    """Tuples of arrays as lists, as models take several inputs."""
    return [_in_lists(each) for each in value] if isinstance(value, tuple) else value


def _no_rows(arrays: Columns) -> Columns:
    found: Array | tuple[Array, ...] = mapped(lambda array: array[:0], arrays)
    return found
