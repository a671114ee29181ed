"""Followers: the log on its way to the other ps, a queue for each. On ps:0."""

from __future__ import annotations

from queue import SimpleQueue

from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.options import MAX_STREAMS
from distrib.ps.stages import RefusedError


class Followers:
    """The other ps, from 1; a queue holds what one of them has not heard yet, from the beginning of the log."""

    def __init__(self) -> None:
        self._num_ps = MAX_STREAMS  # until it is known
        self._queues: dict[int, SimpleQueue[pb.FollowReply | None]] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._queues)

    def queue(self, ps: int) -> SimpleQueue[pb.FollowReply | None]:
        """What is for one of them, which may have come before it was expected; None ends it.

        Raises:
            RefusedError: there is no such ps.
        """
        if not 0 < ps < self._num_ps:
            raise RefusedError(f"Expected another ps of the job to follow. Received: ps:{ps}.")
        return self._queues.setdefault(ps, SimpleQueue())

    def expect(self, num_ps: int) -> None:
        """There are so many ps, with this one."""
        self._num_ps = num_ps
        for ps in range(1, num_ps):
            self.queue(ps)

    def tell(self, message: pb.FollowReply | None) -> None:
        """Tell all of them; None is the end."""
        for queue in list(self._queues.values()):
            queue.put(message)
