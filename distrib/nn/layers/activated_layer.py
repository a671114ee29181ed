"""ActivatedLayer: the base of layers that end in an activation function."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self

from distrib.base.arrays import Array
from distrib.nn.activations import Activation
from distrib.nn.forms import activation_form
from distrib.nn.layers.layer import Layer
from distrib.nn.rng import RngKey


class ActivatedLayer(Layer):
    """A layer that ends in an activation function: `activation(linear(x))`.

    The two halves can be called apart. A network whose last activation is a softmax or a sigmoid, and whose
    loss is the cross-entropy of its result, leaves the activation out: the loss computes both at once,
    exactly and without overflow.
    """

    activation: Activation

    def twin(self, name: str) -> Self:
        twin = super().twin(name)
        twin.activation = self.activation.twin()
        return twin

    @abstractmethod
    def linear(self, x: Array) -> Array:
        """The input of the activation, in memory of this layer."""

    @abstractmethod
    def linear_backward(self, d_z: Array) -> Array:
        """As `backward`, from the gradient of what `linear` returned."""

    def linear_form(self) -> Callable[..., Any] | None:
        """`linear` in functions that a tape records; see `Layer.form`."""
        return None

    def form(self) -> Callable[..., Any] | None:
        linear, activation = self.linear_form(), activation_form(self.activation)
        if linear is None or activation is None:
            return None
        return lambda x, *variables: activation(linear(x, *variables))

    def forward(self, x: Array, draw: RngKey | None) -> Array:
        z = self.linear(x)
        self._z = z
        self._y = self._scratch.like("activated", z) if self.activation.needs_input else z
        self.activation.forward(z, self._y)
        return self._y

    def backward(self, d_y: Array) -> Array:
        self.activation.backward(d_y, self._z, self._y)
        return self.linear_backward(d_y)
