"""Stream: a worker's stream to one ps, and the deadline of what it waits for."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import grpc

from distrib.base import background
from distrib.base.errors import AuthenticationError, ConfigError, DistribError, PeerLostError, ProtocolError
from distrib.base.logs import LOGGER
from distrib.host.malloc import keep_freed_memory
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.wire import framing, tls
from distrib.ps.wire.framing import Frame

_REFUSED: dict[grpc.StatusCode, type[DistribError]] = {
    grpc.StatusCode.UNAUTHENTICATED: AuthenticationError,
    grpc.StatusCode.ALREADY_EXISTS: ConfigError,
}
_RETRIED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)


class Stream:
    """One stream to one ps.

    Args:
        address: `host:port`.
        metadata: of the call: the token.

    Attributes:
        channel: the connection, for other calls too.
    """

    def __init__(self, address: str, metadata: list[tuple[str, str]]) -> None:
        keep_freed_memory()
        self.channel = tls.channel(address)
        self._requests: SimpleQueue[Frame[pb.WorkRequest] | None] = SimpleQueue()
        work = self.channel.stream_stream(framing.WORK, framing.write_request, framing.read_reply)
        self._replies = work(iter(self._requests.get, None), metadata=metadata)

    def send(self, request: Frame[pb.WorkRequest]) -> None:
        """Send when there is room."""
        self._requests.put(request)

    def reply(self) -> Frame[pb.WorkReply]:
        """The next reply; `grpc.RpcError` where the stream has ended."""
        reply: Frame[pb.WorkReply] | None = next(self._replies, None)
        if reply is None:
            raise EndedError
        return reply

    def when_broken(self, callback: Callable[[], object]) -> None:
        """Call back, from another thread, when the stream has ended with an error."""

        def ended() -> None:
            if self._replies.code() not in (grpc.StatusCode.OK, grpc.StatusCode.CANCELLED):
                callback()

        if not self._replies.add_callback(ended):
            ended()

    @property
    def error(self) -> grpc.RpcError:
        """The error that the stream has ended with."""
        error: grpc.RpcError = self._replies
        return error

    def cancel(self) -> None:
        """Cancel the stream: waiting for a reply raises `grpc.RpcError`."""
        self._replies.cancel()

    def close(self) -> None:
        """End the stream."""
        self._requests.put(None)
        self._replies.cancel()
        self.channel.close()


REMIND_EVERY_S = 10.0


class Deadline:
    """Calls `cancel` when a wait takes too long. One thread looks once a second, so a wait costs next to nothing.

    Args:
        cancel: called from that thread.
        remind: called from there every 10 s of a wait, with the seconds so far.
    """

    def __init__(self, cancel: Callable[[], None], remind: Callable[[float], None]) -> None:
        self._cancel, self._remind = cancel, remind
        self._until = self._next_reminder = math.inf
        self._since = 0.0
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    @contextmanager
    def of(self, seconds: float) -> Iterator[None]:
        """Context manager: cancels if its body takes longer than `seconds`."""
        if self._thread is None:
            self._thread = background.start(self._watch, "deadline", lambda error: self._cancel())
        self._since = time.monotonic()
        self._next_reminder = self._since + REMIND_EVERY_S
        self._until = self._since + seconds
        try:
            yield
        finally:
            self._until = self._next_reminder = math.inf

    def close(self) -> None:
        """Watch no longer."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(1.0):
            now = time.monotonic()
            if now > self._until:
                self._cancel()
            elif now > self._next_reminder:
                self._next_reminder = now + REMIND_EVERY_S
                self._remind(now - self._since)


class EndedError(grpc.RpcError):  # type: ignore[misc]  # gRPC is not typed
    """The ps has ended the stream."""

    def code(self) -> grpc.StatusCode:
        """As if the ps were not there: the call may be sent again."""
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        """The message."""
        return "the stream has ended"


def message_of(error: grpc.RpcError) -> str:
    """The message of an error, with the name of gRPC's limit where one was exceeded."""
    message = str(error.details() or error.code())
    if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
        return message
    if "message" in message:
        return (
            f"{message}. That is grpc.max_receive_message_length, MAX_MESSAGE_BYTES in "
            "distrib/ps/wire/grpc_options.py."
        )
    return (
        f"{message} The ps serves no more calls at once than MAX_CALLS in distrib/ps/wire/grpc_options.py. Use fewer "
        "workers, or look what else is connected with it."
    )


def check_retried(error: grpc.RpcError, worker: int) -> None:
    """Return if a call may be made again that has ended with `error`.

    Args:
        error: of gRPC.
        worker: who has made the call.

    Raises:
        AuthenticationError, ConfigError, PeerLostError, ProtocolError: as the ps has refused it.
        SystemExit: the job has ended well.
    """
    code, message = error.code(), message_of(error)
    if code in _REFUSED:
        raise _REFUSED[code](message) from None
    if code == grpc.StatusCode.OUT_OF_RANGE:
        # The end of the job is the end of the chief's script: what this one has left cannot be done.
        LOGGER.info("worker %d ends: %s", worker, message)
        raise SystemExit(0)
    if code == grpc.StatusCode.ABORTED:
        raise PeerLostError(f"Worker {worker}: {message}") from None
    if code not in _RETRIED:
        raise ProtocolError(f"Worker {worker}: {message}") from None
