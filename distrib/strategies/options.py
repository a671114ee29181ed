"""CommunicationOptions: how replicas talk to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from distrib.base.arguments import HasArguments
from distrib.base.errors import ConfigError
from distrib.comm.messages.wait import DEFAULT_TIMEOUT_S
from distrib.comm.select import IMPLEMENTATIONS, Implementation


@dataclass(frozen=True, slots=True)
class CommunicationOptions(HasArguments):
    """How replicas talk to each other.

    Attributes:
        implementation: `"shared_memory"` (all replicas on one host), `"hierarchical"` (shared memory inside each
            host, rings between hosts), `"ring"`, `"mpi"` (the MPI library's own collectives), or `"auto"`.
        timeout_s: seconds a replica waits for another in one collective before it gives up, naming the absent.
        bucket_bytes: gradients are reduced in buckets of this size, the complete ones while backward goes on; 0 for
            all at once, at the end. By default 1 MiB where replicas are on several hosts, else 0: inside a host
            it does not pay.
        compression: `"float16"` sends half the bytes while gradients are reduced between hosts, with error feedback;
            values are never compressed. None for neither.
        check_every: steps between two comparisons of a hash of the values, which name a replica that has drifted;
            there is one at the end of each epoch, too. 0 for never.

    Raises:
        ConfigError: an unknown implementation or compression, `timeout_s` not positive, or a negative number.
    """

    implementation: Implementation = "auto"
    timeout_s: float = DEFAULT_TIMEOUT_S
    bucket_bytes: int | None = None
    compression: Literal["float16"] | None = None
    check_every: int = 100

    def __post_init__(self) -> None:
        if self.implementation not in IMPLEMENTATIONS:
            raise ConfigError(
                f"CommunicationOptions expects implementation in {IMPLEMENTATIONS}. "
                f"Received: {self.implementation!r}."
            )
        if self.compression not in (None, "float16") or (self.compression and self.implementation == "mpi"):
            raise ConfigError(
                "CommunicationOptions expects compression='float16' (not with implementation='mpi', which sends what "
                f"it is given) or None. Received: {self.compression!r} with implementation={self.implementation!r}."
            )
        for name in ("check_every", "bucket_bytes"):
            number = getattr(self, name)
            if number is not None and number < 0:
                raise ConfigError(f"CommunicationOptions expects {name} >= 0. Received: {number}.")
        if not self.timeout_s > 0:
            raise ConfigError(f"CommunicationOptions expects timeout_s > 0. Received: {self.timeout_s}.")
