"""LogFanout: queues the log of ps:0 for every other ps.

The stream of a ps that was frozen, or cut off, breaks. When it comes back it goes on behind what it has, as does what
it had to say (`ps/wire/outbox.py`). Another process that replaces it has none of the values, and is refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.policy.admission.rules import MAX_STREAMS
from distrib.ps.policy.errors import RefusedError
from distrib.ps.wire.outbox import Outbox


class Followed:
    """Another ps, as ps:0 sees it.

    Attributes:
        outbox: the messages to it.
    """

    def __init__(self) -> None:
        self.outbox: Outbox[pb.FollowReply] = Outbox()
        self._incarnation = self._stream = 0
        self._heard = 0  # messages of it that were handled
        self._lock = threading.Lock()

    def begin(self, incarnation: int, has: int) -> tuple[int, int, Iterator[pb.FollowReply]]:
        """It has opened a stream, which replaces the one before.

        Args:
            incarnation: which process it is.
            has: how many messages it has.

        Returns:
            The number of the stream, how many of its messages have arrived, and the messages to it.

        Raises:
            RefusedError: it is another process than before.
            ProtocolError: it claims more messages than were sent.
        """
        with self._lock:
            if self._incarnation not in (0, incarnation) or not incarnation:
                raise RefusedError("Another process was this ps before; this one has none of its values.")
            messages = self.outbox.stream(has)
            self._incarnation = incarnation
            self._stream += 1
            return self._stream, self._heard, messages

    def hear(
        self, stream: int, request: pb.FollowRequest, handle: Callable[[pb.FollowRequest], None]
    ) -> bool:
        """Handle a message, one after the other; False if another stream has replaced this one."""
        with self._lock:
            if stream != self._stream:
                return False
            self.outbox.acknowledge(request.has)
            self._heard += 1
            handle(request)
            return True

    def end(self, stream: int) -> bool:
        """A stream has ended; False if another one has replaced it."""
        with self._lock:
            if stream != self._stream:
                return False
            self.outbox.end_stream()
            return True

    @property
    def heard(self) -> int:
        """How many of its messages have arrived."""
        return self._heard


class LogFanout:
    """The other ps, from 1; each receives the log from its beginning."""

    def __init__(self) -> None:
        self._num_ps = MAX_STREAMS  # until it is known
        self._followed: dict[int, Followed] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._followed)

    def of(self, ps: int) -> Followed:
        """Another ps, maybe one that was not expected yet. Raises `RefusedError` if there is no such ps."""
        if not 0 < ps < self._num_ps:
            raise RefusedError(f"Expected another ps of the job to follow. Received: ps:{ps}.")
        return self._followed.setdefault(ps, Followed())

    def expect(self, num_ps: int) -> None:
        """Set the number of ps, this one included."""
        self._num_ps = num_ps
        for ps in range(1, num_ps):
            self.of(ps)

    def tell(self, message: pb.FollowReply) -> None:
        """Send a message to all of them."""
        for followed in list(self._followed.values()):
            followed.outbox.put(message)

    @property
    def num_queued(self) -> dict[int, int]:
        """How many messages every one of them has not acknowledged."""
        return {ps: len(followed.outbox) for ps, followed in self._followed.items()}

    def close(self) -> None:
        """Send nothing more."""
        for followed in list(self._followed.values()):
            followed.outbox.close()
