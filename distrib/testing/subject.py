"""Subject: a model that is checked, with a batch of data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrib.base.arrays import Array, columns
from distrib.nn.rng import RngKey
from distrib.training.arguments.examples import Examples
from distrib.training.model import Model
from distrib.training.seeds import counted_apart

MakeModel = Callable[[], Model]


class Subject:
    """A new model, and what it computes of a batch.

    Args:
        make_model: returns a compiled model, another one at each call.
        x: inputs, as `fit` takes them.
        y: targets, likewise.

    Attributes:
        make_model: as given.
        x: as given.
        y: as given.
        count: number of examples.
        tolerance: to which sums of the model's dtype agree.
    """

    def __init__(self, make_model: MakeModel, x: Any, y: Any) -> None:
        self.make_model, self.x, self.y = make_model, x, y
        with counted_apart():
            self.model = make_model()
            structure = self.model.structure_for(x)
            self._inputs = columns(structure.inputs_of(x))
            self.count = len(self._inputs[0])
            self.model.build(_shapes(structure.inputs, self._inputs))
            self.network: Any = self.model.network
        examples = Examples(x, y, None, self.model.data_structure)
        configured = self.model.compile_config
        self._targets = columns(configured.prepare(examples.y, self.network))
        self._objective = configured.objective(self.network, examples.y)
        self.tolerance = 1e-9 if self.model.dtype == np.float64 else 2e-4

    def outputs(self, rows: slice, is_training: bool = False) -> list[Array]:
        """The outputs for some examples, as a prediction or in a training."""
        draw = RngKey(0, 0, rows.start or 0) if is_training else None
        with self.network.apart() as network:
            return [
                each.copy() for each in columns(network.forward(_one(self._cast(self._inputs, rows)), draw))
            ]

    def gradient(self, rows: slice) -> tuple[Array, float, float]:
        """The summed gradient of some examples, their summed loss, and their number, in a training."""
        network = self.network
        network.buffer.gather()
        draw = RngKey(0, 0, rows.start or 0)
        x = _one(self._cast(self._inputs, rows))
        sums = network.train_on(x, _one(tuple(t[rows] for t in self._targets)), None, draw, self._objective)
        return network.buffer.grads.astype(np.float64), sums.loss, sums.count

    @property
    def values(self) -> Array:
        """The flat vector of what is trained, to be written to."""
        self.network.buffer.gather()
        values: Array = self.network.buffer.values
        return values

    def _cast(self, arrays: tuple[Array, ...], rows: slice) -> tuple[Array, ...]:
        return tuple(np.ascontiguousarray(each[rows], self.network.dtype) for each in arrays)


def _one(arrays: tuple[Array, ...]) -> Any:
    return arrays[0] if len(arrays) == 1 else arrays


def _shapes(names: tuple[str, ...], arrays: tuple[Array, ...]) -> Any:
    shapes = [(None, *each.shape[1:]) for each in arrays]
    return shapes[0] if len(shapes) == 1 else shapes
