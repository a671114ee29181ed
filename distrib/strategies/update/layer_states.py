"""LayerStates: variables that layers change while they train, such as moving averages and counters.

Each replica has changed them by its part of the batch. After each step they are combined, by the aggregation of each:
the mean of what the replicas have, weighted by their numbers of examples; the sum of what they have added; or the
value of the first. So they are the same on all replicas; and where the variable is a mean over examples, or a sum of
what examples add, it is that of one process. Collective, in the order of the other collectives of a step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distrib.base.arrays import Array
from distrib.comm.communicator import Communicator
from distrib.comm.reduce_op import ReduceOp
from distrib.nn.variable import Variable


class LayerStates:
    """The states of one network.

    Args:
        communicator: the collectives between the replicas.
        variables: the same on each; those of one process are left alone.
    """

    def __init__(self, communicator: Communicator, variables: Sequence[Variable]) -> None:
        self._communicator = communicator
        self._variables = list(variables) if communicator.world_size > 1 else []
        self._before: list[Array] = []

    def begin(self) -> None:
        """A step begins."""
        self._before = [each.numpy() for each in self._variables]

    def combine(self, count: float) -> None:
        """A step is over.

        Args:
            count: number of examples of this replica's part.
        """
        if not self._variables:
            return
        is_first = self._communicator.rank == 0
        parts = [np.array([count])]
        for variable, before in zip(self._variables, self._before, strict=True):
            value = variable.value.astype(np.float64)
            if variable.aggregation == "sum":
                value -= before
            elif variable.aggregation == "mean":
                value = value * count if count else np.zeros_like(value)
            elif not is_first:
                value = np.zeros_like(value)
            parts.append(value.reshape(-1))
        vector = np.concatenate(parts)
        self._communicator.all_reduce(vector, ReduceOp.SUM)
        total, begin = vector[0], 1
        for variable, before in zip(self._variables, self._before, strict=True):
            found = vector[begin : begin + variable.size].reshape(variable.shape)
            begin += variable.size
            if variable.aggregation == "sum":
                found = before + found
            elif variable.aggregation == "mean":
                found = found / total if total else before
            is_whole = variable.dtype.kind in "iu"
            variable.assign((np.rint(found) if is_whole else found).astype(variable.dtype))
