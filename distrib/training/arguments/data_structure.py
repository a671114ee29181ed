"""DataStructure: which arrays are which inputs and outputs of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from distrib.base.arrays import Columns
from distrib.base.errors import DataError
from distrib.data.dataset import as_array


class DataStructure(NamedTuple):
    """The names of a model's inputs and outputs.

    Attributes:
        inputs: in order; empty where there is one input, whose name is not known.
        outputs: likewise.
    """

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def inputs_of(self, x: Any, what: str = "x") -> Columns:
        """The arrays of the inputs, in order.

        Args:
            x: one array; or a list, tuple or dict of arrays.
            what: the name of the argument, for the error message.

        Raises:
            DataError: another number of arrays, names that the model does not have, or what is no array.
        """
        return _arranged(x, self.inputs, what, "input")

    def outputs_of(self, y: Any, what: str = "y") -> Columns:
        """The arrays of the outputs, in order; see `inputs_of`."""
        return _arranged(y, self.outputs, what, "output")

    def weights_of(self, weight: Any) -> Columns | None:
        """Sample weights for all outputs, or for each; see `inputs_of`."""
        if weight is None:
            return None
        if len(self.outputs) > 1 and _is_several(weight):
            return self.outputs_of(weight, "sample_weight")
        return _arranged(weight, (), "sample_weight", "output")


ONE_ARRAY = DataStructure()
"""One input and one output."""


def _is_several(value: Any) -> bool:
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list | tuple) and any(hasattr(each, "__array__") for each in value)


def _arranged(value: Any, names: Sequence[str], what: str, role: str) -> Columns:
    count = max(1, len(names))
    if isinstance(value, Mapping):
        missing = [name for name in names if name not in value]
        unknown = [str(name) for name in value if name not in names]
        if count == 1 and len(value) == 1 and not names:
            missing = unknown = []
        if missing or unknown or len(value) != count:
            raise DataError(
                f"{what} has arrays for {list(names) or f'one {role}'}. Missing: {missing}. Unknown: {unknown}."
            )
        value = [value[name] for name in names] if names else list(value.values())
        return tuple(as_array(each, what) for each in value) if count > 1 else as_array(value[0], what)
    if count > 1:
        if not isinstance(value, list | tuple) or len(value) != count:
            received = f"{len(value)}" if isinstance(value, list | tuple) else f"one {type(value).__name__}"
            raise DataError(
                f"{what} expects a list of {count} arrays, or a dict with {', '.join(names)}. Received: {received}."
            )
        return tuple(as_array(each, f"{what}[{name!r}]") for each, name in zip(value, names, strict=True))
    if isinstance(value, list | tuple) and len(value) == 1 and np.ndim(value[0]) > 1:
        if hasattr(value[0], "__array__"):
            value = value[0]  # a list of the arrays of all inputs, of which there is one
    return as_array(value, what)
