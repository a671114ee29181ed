"""The means of what a training or an evaluation measures."""

from __future__ import annotations

from typing import Any

from distrib.training.loop.running_means import RunningMeans
from distrib.training.loop.step_objective import StepMeans, StepObjective


def means_of(objective: Any) -> Any:
    """Means, which begin anew, of an objective: of a network, or of steps of a user's own."""
    return StepMeans(objective) if isinstance(objective, StepObjective) else RunningMeans(objective.metrics)
