"""Follower: receives and executes the log of ps:0, on every other ps.

When the stream breaks, another one goes on where it was, in both directions (`ps/wire/outbox.py`).
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

import grpc

from distrib.base import background
from distrib.base.arrays import Array
from distrib.base.errors import ProtocolError
from distrib.base.logs import LOGGER
from distrib.proto import parameter_server_pb2 as pb
from distrib.proto import parameter_server_pb2_grpc as services
from distrib.ps.policy.identity import PushId
from distrib.ps.policy.order.command_log import Entry
from distrib.ps.server.checkpoint_writer import WhenSaved
from distrib.ps.server.replication.unreachable_peer import UnreachablePeer
from distrib.ps.wire import codec, tls
from distrib.ps.wire.outbox import Outbox

_RETRIED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)
_RETRY_S = 0.2
_ACKNOWLEDGE_EVERY = 256
"""Messages of ps:0, which keeps those that are not acknowledged. In training every push does so implicitly."""

_LOST_AFTER_S = 1.0
"""Seconds to wait for the message that the job has ended, which ps:0 may have received a little earlier."""


class Follower:
    """Executes the log of ps:0 here, and reports to it what has arrived.

    Args:
        address: of ps:0.
        index: which ps this is.
        token: of the run.
        execute: called with every entry, in order.
        lost: called, with why, when there will be no more.
        ending: set when the job has ended.
        timeout_s: seconds to wait for a ps:0 that does not answer.

    Attributes:
        address: of ps:0.
    """

    def __init__(
        self,
        address: str,
        index: int,
        token: str,
        execute: Callable[[Entry], None],
        lost: Callable[[str], None],
        ending: threading.Event,
        timeout_s: float,
    ) -> None:
        self.address = address
        self._execute, self._index, self._lost = execute, index, lost
        self._outbox: Outbox[pb.FollowRequest] = Outbox()
        self._incarnation, self._leader = secrets.randbits(62) + 1, 0
        self._has = 0  # messages of ps:0 that were handled
        self._when_saved: WhenSaved = lambda failure: None
        self._saved: str | None = None  # what ps:0 has said about that; also when another ps ends
        self._lock = threading.Lock()
        self._closed, self._ending = threading.Event(), ending
        self._unreachable = UnreachablePeer("ps:0", address, timeout_s, ending, self._give_up)
        self._channel = tls.channel(address)
        self._metadata = [("authorization", f"Bearer {token}")] if token else []
        self._stub: Any = services.ParameterServerStub(self._channel)  # type: ignore[no-untyped-call]
        self._stream: Any = None
        background.start(self._run, "follower", lambda error: self._failed(error))

    def arrived(self, push: PushId, call: int) -> None:
        """The slice of a push is here, whole, brought by this call."""
        arrived = codec.push_message(push)
        self._outbox.put(pb.FollowRequest(ps=self._index, arrived=arrived, call=call))

    def say_silent(self, worker: int, incarnation: int) -> None:
        """A worker has begun a call here, and sent no more of it."""
        silent = codec.push_message(PushId(worker, incarnation, 0))
        self._outbox.put(pb.FollowRequest(ps=self._index, silent=silent))

    def save(self, cut: int, vectors: dict[str, Array]) -> None:
        """Send what this ps keeps at a cut."""
        for name, vector in vectors.items():
            for piece in codec.pieces(vector):
                request = pb.FollowRequest(ps=self._index)
                request.part.cut, request.part.name, request.part.count = cut, name, len(vectors)
                request.part.last = piece.is_last
                request.part.chunk.offset, request.part.chunk.data = piece.offset, bytes(piece.data)
                self._outbox.put(request)

    def say_end(self, when_saved: WhenSaved) -> None:
        """This ps is about to end. Calls back when what all keep is on the disk, or cannot be; or if ps:0 is gone."""
        with self._lock:
            self._when_saved, known = when_saved, self._saved
        if known is None:
            self._outbox.put(pb.FollowRequest(ps=self._index, ends=True))
        else:
            when_saved(known)

    def close(self) -> None:
        """Follow no longer."""
        self._closed.set()
        self._unreachable.end()
        self._outbox.close()
        self._outbox.end_stream()
        if self._stream is not None:
            self._stream.cancel()
        self._channel.close()

    def _failed(self, error: BaseException) -> None:
        """The thread has ended with an error; after `close` that is none."""
        if not self._closed.is_set():
            self._end(f"ps:0 is not followed: {error!r}")

    def _give_up(self, reason: str) -> None:
        self.close()
        self._end(reason)

    def _run(self) -> None:
        try:
            while not self._closed.is_set():
                self._follow()
                self._unreachable.begin()
                self._closed.wait(_RETRY_S)
            return  # by `close`
        except grpc.RpcError as error:
            LOGGER.info("ps:%d no longer follows ps:0: %s", self._index, error)
        except Exception:
            if not self._closed.is_set():  # else the channel is closed, which gRPC calls a ValueError
                LOGGER.exception("ps:%d cannot execute the log of ps:0", self._index)
        self._unreachable.end()
        if not self._closed.is_set() and not self._ending.wait(_LOST_AFTER_S):
            self._end("ps:0 is lost")

    def _end(self, reason: str) -> None:
        self._hear("ps:0 is gone." if self._saved is None else self._saved)
        if not self._ending.is_set():
            self._lost(reason)

    def _follow(self) -> None:
        """Open a stream, and follow until it breaks. Raises `grpc.RpcError` for what another stream cannot mend."""
        heard: SimpleQueue[int | None] = SimpleQueue()
        try:
            self._stream = self._stub.Follow(
                self._requests(heard), metadata=self._metadata, wait_for_ready=True
            )
            for message in self._stream:
                if message.incarnation:
                    if self._leader not in (0, message.incarnation):
                        raise ProtocolError("ps:0 was started again since, and has lost its values.")
                    self._leader = message.incarnation
                    self._unreachable.end()
                    heard.put(message.has)
                    continue
                self._outbox.acknowledge(message.has)
                if message.HasField("saved"):
                    self._hear(message.saved.failure)
                elif message.WhichOneof("entry"):
                    self._execute(codec.entry_of(message))
                self._has += 1
                if not self._has % _ACKNOWLEDGE_EVERY:
                    self._outbox.put(pb.FollowRequest(ps=self._index))
        except grpc.RpcError as error:
            if error.code() not in _RETRIED:
                raise
            LOGGER.info("ps:%d: the stream to ps:0 has broken: %s", self._index, error)
        finally:
            heard.put(None)
            self._outbox.end_stream()

    def _requests(self, heard: SimpleQueue[int | None]) -> Iterator[pb.FollowRequest]:
        """The messages of one stream: a greeting, and what ps:0 has not received yet."""
        yield pb.FollowRequest(ps=self._index, incarnation=self._incarnation, has=self._has)
        count = heard.get()
        if count is None:
            return
        for request in self._outbox.stream(count):
            request.has = self._has
            yield request

    def _hear(self, failure: str) -> None:
        with self._lock:
            self._saved, when_saved = failure, self._when_saved
        when_saved(failure)
