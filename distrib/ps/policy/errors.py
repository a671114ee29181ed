"""Why a parameter server refuses a call."""

from __future__ import annotations

from distrib.base.errors import ProtocolError

NO_MODEL = "This ps keeps no model: register one first. Was it started again, with nothing saved?"


class RefusedError(ProtocolError):
    """An invalid call, which has changed nothing.

    Attributes:
        status: name of gRPC's status code that the caller receives.
    """

    status = "FAILED_PRECONDITION"


class ImpossibleError(RefusedError):
    """A call that could be right at no time, as one of a version of the future."""

    status = "INVALID_ARGUMENT"


class JobEndedError(RefusedError):
    """A call after the end of the job.

    Args:
        reason: why it has failed; empty for a good end.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"The job has failed: {reason}" if reason else "The job has ended.")
        self.status = "ABORTED" if reason else "OUT_OF_RANGE"


class ReplacedError(RefusedError):
    """A process was taken for dead, and another one is this worker since."""

    status = "ABORTED"

    def __init__(self, worker: int) -> None:
        super().__init__(f"Worker {worker} was started again since; this process has been replaced.")


class SilentError(RefusedError):
    """A worker has begun a call, and sent no more of it.

    Args:
        worker: which.
        ps: where.
    """

    status = "DEADLINE_EXCEEDED"

    def __init__(self, worker: int, ps: int) -> None:
        super().__init__(
            f"Worker {worker} has begun a call on ps:{ps}, and sent no more of it. Look at the network between them."
        )


class AlreadyRunningError(RefusedError):
    """A second process wants to be a worker.

    Args:
        worker: which.
        is_certain: whether the first one is known to live. Otherwise its end may not be noticed yet.
    """

    def __init__(self, worker: int, is_certain: bool = True) -> None:
        super().__init__(f"Worker {worker} is running already. Only one process may be worker {worker}.")
        self.status = "ALREADY_EXISTS" if is_certain else "UNAVAILABLE"  # it may try again
