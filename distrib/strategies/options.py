"""CommunicationOptions: how replicas talk to each other."""

from __future__ import annotations

from dataclasses import dataclass

from distrib.comm.implementations import IMPLEMENTATIONS, Implementation
from distrib.comm.wait import DEFAULT_TIMEOUT_S
from distrib.errors import ConfigError


@dataclass(frozen=True, slots=True)
class CommunicationOptions:
    """How replicas talk to each other.

    Attributes:
        implementation: `"shared_memory"` (all replicas on one host), `"hierarchical"` (shared memory inside each
            host, rings between hosts), `"ring"`, `"mpi"` (the MPI library's own collectives), or `"auto"`.
        timeout_s: seconds a replica waits for another in one collective before it gives up, naming the absent.

        check_every: steps between two comparisons of a hash of the values, which name a replica that has drifted;
            0 for never.

    Raises:
        ConfigError: an unknown implementation, `timeout_s` not positive, or `check_every` negative.
    """

    implementation: Implementation = "auto"
    timeout_s: float = DEFAULT_TIMEOUT_S
    check_every: int = 100

    def __post_init__(self) -> None:
        if self.implementation not in IMPLEMENTATIONS:
            raise ConfigError(
                f"CommunicationOptions expects implementation in {IMPLEMENTATIONS}. "
                f"Received: {self.implementation!r}."
            )
        if self.check_every < 0:
            raise ConfigError(f"CommunicationOptions expects check_every >= 0. Received: {self.check_every}.")
        if not self.timeout_s > 0:
            raise ConfigError(f"CommunicationOptions expects timeout_s > 0. Received: {self.timeout_s}.")
