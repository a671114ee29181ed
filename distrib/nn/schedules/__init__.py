"""Learning rates that follow the number of updates, with Keras' names, arguments and formulas."""

from distrib.nn.schedules.cosine import CosineDecay, CosineDecayRestarts
from distrib.nn.schedules.decay import (
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from distrib.nn.schedules.registry import deserialize, serialize
from distrib.nn.schedules.schedule import LearningRateSchedule

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]


def __dir__() -> list[str]:
    return __all__
