"""Schedules by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distrib.nn.custom_objects import get_registered_name
from distrib.nn.registry import Registry
from distrib.nn.schedules.cosine import CosineDecay, CosineDecayRestarts
from distrib.nn.schedules.decay import (
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from distrib.nn.schedules.schedule import LearningRateSchedule

_CLASSES = (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
REGISTRY: Registry[LearningRateSchedule] = Registry(
    "schedule", LearningRateSchedule, {each.__name__.lower(): each for each in _CLASSES}
)


def serialize(schedule: LearningRateSchedule) -> dict[str, Any]:
    """The class of a schedule and its arguments, as JSON values."""
    return {"class": get_registered_name(type(schedule)), **schedule.get_config()}


def deserialize(config: Mapping[str, Any]) -> LearningRateSchedule:
    """The schedule that `serialize` described. Raises `ConfigError` unless it is a built-in class."""
    return REGISTRY.from_config(config)
