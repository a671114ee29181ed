"""Initializers whose variance follows from the numbers of inputs and outputs of a unit."""

from __future__ import annotations

import math

import numpy as np

from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError
from distrib.nn.initializers.distributions import TruncatedNormal
from distrib.nn.initializers.initializer import Initializer

# Standard deviation of a unit normal truncated to [-2, 2]; dividing by it restores unit variance.
_TRUNCATED_NORMAL_STDDEV = 0.87962566103423978


class VarianceScaling(Initializer):
    """Variance `scale / n`, with n the fan in, the fan out, or their mean.

    Args:
        scale: positive factor.
        mode: `"fan_in"`, `"fan_out"` or `"fan_avg"`.
        distribution: `"truncated_normal"`, `"untruncated_normal"` or `"uniform"`.
        seed: fixes the values whatever the model's seed is.

    Raises:
        ConfigError: an argument outside of these.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        if scale <= 0:
            raise ConfigError(f"VarianceScaling expects scale > 0. Received: scale={scale}.")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ConfigError(f"VarianceScaling expects mode fan_in, fan_out or fan_avg. Received: {mode!r}.")
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ConfigError(
                "VarianceScaling expects distribution truncated_normal, untruncated_normal or uniform. "
                f"Received: {distribution!r}."
            )
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        fan_in, fan_out = compute_fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return rng.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return rng.normal(0.0, math.sqrt(variance), shape)
        return TruncatedNormal(0.0, math.sqrt(variance) / _TRUNCATED_NORMAL_STDDEV).draw(rng, shape)


class GlorotUniform(VarianceScaling):
    """Glorot and Bengio, 2010: uniform, variance 1 / fan_avg. Keras' default for kernels."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Glorot and Bengio, 2010: truncated normal, variance 1 / fan_avg."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """He et al., 2015: uniform, variance 2 / fan_in."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """He et al., 2015: truncated normal, variance 2 / fan_in."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


class LecunUniform(VarianceScaling):
    """LeCun et al., 1998: uniform, variance 1 / fan_in."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed)


class LecunNormal(VarianceScaling):
    """LeCun et al., 1998: truncated normal, variance 1 / fan_in."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed)


def compute_fans(shape: Shape) -> tuple[int, int]:
    """Number of input and output units of a weight of `shape`, as Keras counts them."""
    if len(shape) < 2:
        units = shape[0] if shape else 1
        return units, units
    receptive_field = math.prod(shape[:-2])
    return shape[-2] * receptive_field, shape[-1] * receptive_field
