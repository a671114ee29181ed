"""CommunicationOptions: how replicas talk to each other."""

from __future__ import annotations

from dataclasses import dataclass

from distrib.comm.wait import DEFAULT_TIMEOUT_S
from distrib.errors import ConfigError


@dataclass(frozen=True, slots=True)
class CommunicationOptions:
    """How replicas talk to each other.

    Attributes:
        timeout_s: seconds a replica waits for another in one collective before it gives up, naming the absent.

    Raises:
        ConfigError: `timeout_s` not positive.
    """

    timeout_s: float = DEFAULT_TIMEOUT_S

    def __post_init__(self) -> None:
        if not self.timeout_s > 0:
            raise ConfigError(f"CommunicationOptions expects timeout_s > 0. Received: {self.timeout_s}.")
