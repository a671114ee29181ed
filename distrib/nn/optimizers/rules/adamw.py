"""AdamW."""

from __future__ import annotations

from typing import Any

from distrib.base.errors import ConfigError
from distrib.nn.optimizers.rules.adam import Adam
from distrib.nn.optimizers.step_size import LearningRate


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    Args:
        learning_rate: step size.
        weight_decay: share of the values, times the learning rate, that is subtracted before each update.
        beta_1: decay of the first moment, in [0, 1).
        beta_2: decay of the second moment, in [0, 1).
        epsilon: keeps the division finite.
        amsgrad: see `Adam`.
        name: name of the optimizer.
        **kwargs: arguments of every optimizer; see `Optimizer`.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        name: str = "adamw",
        **kwargs: Any,
    ) -> None:
        if weight_decay is None:
            raise ConfigError("AdamW expects weight_decay as a number >= 0. Received: None.")
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, name, weight_decay=weight_decay, **kwargs
        )
