"""Schedules that lower the learning rate along a cosine (Loshchilov and Hutter, SGDR, 2017)."""

from __future__ import annotations

import math

from distrib.nn.schedules.schedule import LearningRateSchedule


class CosineDecay(LearningRateSchedule):
    """A linear warm-up, if wanted, and then half a period of a cosine.

    Args:
        initial_learning_rate: the rate of the first update.
        decay_steps: updates from the highest rate to the lowest.
        alpha: the lowest rate, as a share of the highest.
        name: name of the schedule.
        warmup_target: the highest rate, which the warm-up leads to; None for no warm-up.
        warmup_steps: updates of the warm-up, before those of the decay.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self._check_positive(decay_steps=decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.alpha, self.name = alpha, name
        self.warmup_target, self.warmup_steps = warmup_target, warmup_steps

    def __call__(self, step: int) -> float:
        first, highest, warmup_steps = self.initial_learning_rate, self.warmup_target, self.warmup_steps
        if highest is None:
            highest, warmup_steps = first, 0
        if step < warmup_steps:
            return first + (highest - first) * step / warmup_steps
        done = min(step - warmup_steps, self.decay_steps) / self.decay_steps
        return highest * ((1 - self.alpha) * 0.5 * (1 + math.cos(math.pi * done)) + self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """Half a period of a cosine, again and again; each may be longer, and begin lower, than the one before.

    Args:
        initial_learning_rate: the rate of the first update.
        first_decay_steps: updates of the first period.
        t_mul: by what each period is longer than the one before.
        m_mul: by what it begins lower.
        alpha: the lowest rate, as a share of `initial_learning_rate`.
        name: name of the schedule.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self._check_positive(first_decay_steps=first_decay_steps, t_mul=t_mul)
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def __call__(self, step: int) -> float:
        # Counted, not by a logarithm as in Keras, which rounding may lead to the period before.
        length, begin, highest = float(self.first_decay_steps), 0.0, 1.0
        if self.t_mul == 1:
            period = step // length
            begin, highest = period * length, self.m_mul**period
        while self.t_mul != 1 and step >= begin + length and length > 0.5:
            begin, length, highest = begin + length, length * self.t_mul, highest * self.m_mul
        done = min(1.0, (step - begin) / length)
        decayed = (1 - self.alpha) * 0.5 * highest * (1 + math.cos(math.pi * done)) + self.alpha
        return float(self.initial_learning_rate * decayed)
