"""Rules: how gradients become updates, as the chief's strategy says. They travel to the ps as JSON values."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from distrib.base.errors import ConfigError
from distrib.ps.policy.admission.staleness import AcceptStale, StalenessPolicy, policy_from_config

MODES = ("sync", "async")

MAX_STREAMS = 500
"""Workers and other ps that a ps serves at once. Each keeps a thread while its worker waits."""


@dataclass(frozen=True)
class Rules:
    """How gradients become updates.

    Attributes:
        mode: `"sync"`: one update takes the gradients of several workers; `"async"`: of one, when it comes.
        num_workers: all workers, the chief and the backups among them.
        num_backup_workers: sync: how many of them an update does not wait for.
        staleness: async: what to do about stale gradients.
        warmup_steps: updates that the chief makes alone, before the others begin.
        warmup_epochs: epochs that the chief trains alone.
        learning_rate_factor: async: by what to multiply the optimizer's learning rate.
        batch_size_factor: async: by what to multiply the batch size of a push.
        prefetch: async: whether a worker may hold two leases, and pushes the one while it computes the other.
        start_timeout_s: seconds after the first worker for which the first step waits for those that have not come.

    Raises:
        ConfigError: an invalid number.
    """

    mode: str = "sync"
    num_workers: int = 1
    num_backup_workers: int = 0
    staleness: StalenessPolicy = field(default_factory=AcceptStale)
    warmup_steps: int = 0
    warmup_epochs: int = 0
    learning_rate_factor: float = 1.0
    batch_size_factor: float = 1.0
    prefetch: bool = False
    start_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"Expected mode {' or '.join(MODES)}. Received: {self.mode!r}.")
        if not 0 <= self.num_backup_workers < self.num_workers:
            raise ConfigError(
                f"Expected fewer backup workers than workers. Received: num_workers={self.num_workers}, "
                f"num_backup_workers={self.num_backup_workers}."
            )
        if self.mode == "async" and self.num_backup_workers:
            raise ConfigError("Backup workers are for mode='sync': in async no update waits for a worker.")
        if self.mode == "sync" and not isinstance(self.staleness, AcceptStale):
            raise ConfigError("A staleness policy is for mode='async': in sync no gradient is stale.")
        if self.mode == "sync" and self.prefetch:
            raise ConfigError("prefetch is for mode='async': in sync every gradient is of the newest values.")
        for name in ("warmup_steps", "warmup_epochs"):
            if getattr(self, name) < 0:
                raise ConfigError(f"Expected {name} >= 0. Received: {getattr(self, name)}.")
        if not 0 <= self.start_timeout_s < math.inf:
            raise ConfigError(f"Expected start_timeout_s >= 0. Received: {self.start_timeout_s}.")
        for name in ("learning_rate_factor", "batch_size_factor"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"Expected {name} > 0. Received: {getattr(self, name)}.")

    @property
    def is_sync(self) -> bool:
        """Whether an update takes the gradients of several workers."""
        return self.mode == "sync"

    @property
    def num_to_aggregate(self) -> int:
        """N: the gradients of a synchronous update."""
        return self.num_workers - self.num_backup_workers

    def get_config(self) -> dict[str, Any]:
        """The rules as JSON values."""
        return asdict(self) | {"staleness": self.staleness.get_config()}


def rules_from_config(config: dict[str, Any]) -> Rules:
    """The rules that `get_config` described. Raises `ConfigError` for invalid ones."""
    try:
        return Rules(**config | {"staleness": policy_from_config(config["staleness"])})
    except (TypeError, KeyError) as error:
        raise ConfigError(f"These are not rules of a parameter server: {error}") from None
