"""ServerOptions: the options of a ps task, from the command line to the objects that use them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from distrib.ps.server.checkpoint_writer import CheckpointOptions


class ServerOptions(NamedTuple):
    """Options of one ps.

    Attributes:
        token: the run's token, which workers and other ps must present; empty to admit everybody.
        insecure: listen off the loopback interface without TLS.
        share_memory: use the memory that workers of this host offer.
        checkpoints: where ps:0 saves what all ps keep, and whether to begin from there; None for nowhere.
        chief_timeout_s: seconds to wait for a chief that is gone.
        ps_timeout_s: seconds to wait for another ps that does not answer.
        others: hosts of the cluster, from which workers connect.
        read_timeout_s: seconds to wait for the next message of a call that a worker has begun.
    """

    token: str = ""
    insecure: bool = False
    share_memory: bool = True
    checkpoints: CheckpointOptions | None = None
    chief_timeout_s: float = 60.0
    ps_timeout_s: float = 30.0
    others: Sequence[str] = ()
    read_timeout_s: float = 60.0


DEFAULTS = ServerOptions()
