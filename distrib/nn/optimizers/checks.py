"""Checks of the arguments that all optimizers have."""

from __future__ import annotations

import math

from distrib.base.errors import ConfigError


def check_clips(owner: str, **clips: float | None) -> None:
    """Raise `ConfigError` unless at most one is given, as a positive number."""
    given = {key: clip for key, clip in clips.items() if clip is not None}
    if len(given) > 1 or not all(clip > 0 for clip in given.values()):
        known = " and ".join(", ".join(f"{key} > 0" for key in clips).rsplit(", ", 1))
        raise ConfigError(f"{owner} expects one of {known}. Received: {given}.")


def check_numbers(
    owner: str,
    weight_decay: float | None,
    gradient_accumulation_steps: int | None,
    ema_momentum: float,
    ema_overwrite_frequency: int | None,
) -> None:
    """Raise `ConfigError` for a number out of its range."""
    if gradient_accumulation_steps is not None and gradient_accumulation_steps < 1:
        raise ConfigError(
            f"{owner} expects gradient_accumulation_steps >= 1. Received: {gradient_accumulation_steps}."
        )
    if weight_decay is not None and not 0 <= weight_decay < math.inf:
        raise ConfigError(f"{owner} expects weight_decay >= 0. Received: {weight_decay}.")
    if not 0 <= ema_momentum <= 1 or (ema_overwrite_frequency or 1) < 1 or ema_overwrite_frequency == 0:
        raise ConfigError(
            f"{owner} expects ema_momentum in [0, 1] and ema_overwrite_frequency >= 1. "
            f"Received: {ema_momentum}, {ema_overwrite_frequency}."
        )
