"""Merge: the base of layers that combine several inputs. Each input gets a gradient in memory of its own."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from distrib.base.arrays import Shape
from distrib.base.errors import ShapeError
from distrib.nn.layers.layer import Layer


class Merge(Layer):
    """Combines a list of inputs."""

    takes_several = True
    least_inputs = 2
    most_inputs: int | None = None

    def compute_output_shape(self, input_shape: Any) -> Shape:
        shapes = list(input_shape)
        most = self.most_inputs
        if len(shapes) < self.least_inputs or (most is not None and len(shapes) > most):
            number = f"{self.least_inputs}" if most == self.least_inputs else f"at least {self.least_inputs}"
            raise ShapeError(
                f"{type(self).__name__} '{self.name}' expects {number} inputs. Received: {len(shapes)}."
            )
        return self.merged_shape(shapes)

    @abstractmethod
    def merged_shape(self, shapes: list[Shape]) -> Shape:
        """Shape of one example of the output. Raises `ShapeError` for shapes that do not fit together."""
