"""Initializers with Keras' names, defaults and distributions.

Each variable draws from a stream of its own, named by (seed, variable name), so every replica starts equal and
adding a layer does not change the values of the others.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from distrib.base.arguments import HasArguments
from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError
from distrib.nn.registry import Registry
from distrib.nn.rng import generator

# Standard deviation of a unit normal truncated to [-2, 2]; dividing by it restores unit variance.
_TRUNCATED_NORMAL_STDDEV = 0.87962566103423978


class Initializer(HasArguments):
    """Draws the first value of a variable.

    Args:
        seed: fixes the values whatever the model's seed is.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def __call__(self, shape: Shape, dtype: Any = "float32", *, seed: int = 0, name: str = "") -> Array:
        """An array of `shape` and `dtype`; the same for the same (seed, name)."""
        rng = generator("initializer", seed if self.seed is None else self.seed, name)
        return self.draw(rng, shape).astype(dtype)

    @abstractmethod
    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        """Float64 values of `shape`."""

    def get_config(self) -> dict[str, Any]:
        """The arguments of this initializer, as JSON values."""
        return dict(vars(self))


class Constant(Initializer):
    """Every element is `value`."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.value = value

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        return np.full(shape, self.value, dtype=np.float64)


class Zeros(Constant):
    """Every element is 0."""

    def __init__(self) -> None:
        super().__init__(0.0)


class Ones(Constant):
    """Every element is 1."""

    def __init__(self) -> None:
        super().__init__(1.0)


class RandomNormal(Initializer):
    """Normal distribution."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        return rng.normal(self.mean, self.stddev, shape)


class RandomUniform(Initializer):
    """Uniform distribution over [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        return rng.uniform(self.minval, self.maxval, shape)


class TruncatedNormal(Initializer):
    """Normal distribution whose values further than two standard deviations from the mean are drawn again."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def draw(self, rng: np.random.Generator, shape: Shape) -> Array:
        values = rng.normal(0.0, 1.0, shape)
        while (outside := np.abs(values) > 2.0).any():
            values[outside] = rng.normal(0.0, 1.0, int(np.count_nonzero(outside)))
        return self.mean + self.stddev * values


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


REGISTRY: Registry[Initializer] = Registry(
    "initializer",
    Initializer,
    {
        "constant": Constant,
        "glorot_normal": GlorotNormal,
        "glorot_uniform": GlorotUniform,
        "he_normal": HeNormal,
        "he_uniform": HeUniform,
        "lecun_normal": LecunNormal,
        "lecun_uniform": LecunUniform,
        "ones": Ones,
        "random_normal": RandomNormal,
        "random_uniform": RandomUniform,
        "truncated_normal": TruncatedNormal,
        "variance_scaling": VarianceScaling,
        "zeros": Zeros,
    },
)


def get(identifier: str | Initializer) -> Initializer:
    """The initializer of that name, or `identifier` itself. Raises `ConfigError` for unknown names."""
    return REGISTRY.get(identifier)


def from_config(config: Mapping[str, Any]) -> Initializer:
    """The initializer that a config with its `"class"` describes. Raises `ConfigError` unless it is built in."""
    return REGISTRY.from_config(config)


__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "get",
]


def __dir__() -> list[str]:
    return __all__
