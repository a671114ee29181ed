"""HasVariables: what a layer says about its variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.attributes import HasAttributes
from distrib.base.errors import ConfigError, ShapeError
from distrib.nn.variable import Variable


class HasVariables(HasAttributes):
    """Variables, of which an optimizer may update some.

    Attributes:
        name: of the layer.
        trainable: whether an optimizer may update any.
        variables: all, in order.
    """

    name: str
    trainable: bool
    variables: list[Variable]

    def variable(self, role: str) -> Variable:
        """The variable of that role, such as `"kernel"`. Raises `ConfigError` before the layer is built."""
        for each in self.variables:
            if each.name.rpartition("/")[2] == role:
                return each
        raise ConfigError(
            f"{type(self).__name__} '{self.name}' has no {role} yet: it is made when the layer is built. Call the "
            "layer or its model first."
        )

    @property
    def weights(self) -> list[Variable]:
        """All variables; see `variables`."""
        return list(self.variables)

    @property
    def trainable_variables(self) -> list[Variable]:
        """The variables that an optimizer may update; none where the layer is frozen."""
        return [each for each in self.variables if self.trainable and each.trainable]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The other variables."""
        return [each for each in self.variables if not (self.trainable and each.trainable)]

    @property
    def trainable_weights(self) -> list[Variable]:
        """See `trainable_variables`."""
        return self.trainable_variables

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """See `non_trainable_variables`."""
        return self.non_trainable_variables

    def get_weights(self) -> list[Array]:
        """Copies of the values of all variables."""
        return [each.numpy() for each in self.variables]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Overwrite the values of all variables, on this replica.

        Raises:
            ShapeError: another number of arrays, or another shape; nothing is overwritten.
        """
        arrays = [np.asarray(each) for each in weights]
        shapes = [each.shape for each in self.variables]
        if [each.shape for each in arrays] != shapes:
            raise ShapeError(
                f"{type(self).__name__} '{self.name}' expects weights of shapes {shapes}. "
                f"Received: {[each.shape for each in arrays]}."
            )
        for variable, array in zip(self.variables, arrays, strict=True):
            variable.assign(array)

    def count_params(self) -> int:
        """Number of elements of all variables."""
        return sum(each.size for each in self.variables)
