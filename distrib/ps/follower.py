"""Follower: how another ps follows the log of ps:0."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import grpc

from distrib.arrays import Array
from distrib.logs import LOGGER
from distrib.proto import parameter_server_pb2 as pb
from distrib.proto import parameter_server_pb2_grpc as services
from distrib.ps import codec, credentials
from distrib.ps.log import Entry, PushId
from distrib.ps.saver import WhenSaved


class Follower:
    """Executes the log of ps:0 here, and tells it what has arrived here.

    Args:
        address: of ps:0.
        index: which ps this is.
        token: of the run.
        execute: called with every entry, in order.
        lost: called when there will be no more.

    Attributes:
        address: of ps:0.
    """

    def __init__(
        self, address: str, index: int, token: str, execute: Callable[[Entry], None], lost: Callable[[], None]
    ) -> None:
        self.address = address
        self._requests: SimpleQueue[pb.FollowRequest | None] = SimpleQueue()
        self._execute, self._index, self._lost = execute, index, lost
        self._when_saved: WhenSaved = lambda failure: None
        self._saved: str | None = None  # what ps:0 has said about that; also when another ps ends
        self._lock = threading.Lock()
        self._requests.put(pb.FollowRequest(ps=index))
        self._channel = credentials.channel(address)
        metadata = [("authorization", f"Bearer {token}")] if token else []
        stub: Any = services.ParameterServerStub(self._channel)  # type: ignore[no-untyped-call]
        self._entries = stub.Follow(iter(self._requests.get, None), metadata=metadata, wait_for_ready=True)
        threading.Thread(target=self._run, name="follower", daemon=True).start()

    def arrived(self, push: PushId) -> None:
        """The slice of a push is here, whole."""
        self._requests.put(pb.FollowRequest(ps=self._index, arrived=codec.push_message(push)))

    def say_silent(self, worker: int, incarnation: int) -> None:
        """A worker has begun a call here, and sent no more of it."""
        silent = codec.push_message(PushId(worker, incarnation, 0))
        self._requests.put(pb.FollowRequest(ps=self._index, silent=silent))

    def save(self, cut: int, vectors: dict[str, Array]) -> None:
        """Send what this ps keeps at a cut."""
        for name, vector in vectors.items():
            for piece in codec.pieces(vector):
                request = pb.FollowRequest(ps=self._index)
                request.part.cut, request.part.name, request.part.count = cut, name, len(vectors)
                request.part.last = piece.is_last
                request.part.chunk.offset, request.part.chunk.data = piece.offset, bytes(piece.data)
                self._requests.put(request)

    def say_end(self, when_saved: WhenSaved) -> None:
        """This ps is about to end. Calls back when what all keep is on the disk, or cannot be; or if ps:0 is gone."""
        with self._lock:
            self._when_saved, known = when_saved, self._saved
        if known is None:
            self._requests.put(pb.FollowRequest(ps=self._index, ends=True))
        else:
            when_saved(known)

    def close(self) -> None:
        """Follow no longer."""
        self._requests.put(None)
        self._entries.cancel()
        self._channel.close()

    def _run(self) -> None:
        try:
            for message in self._entries:
                if message.HasField("saved"):
                    self._hear(message.saved.failure)
                else:
                    self._execute(codec.entry_of(message))
        except grpc.RpcError as error:
            LOGGER.info("ps:%d no longer follows ps:0: %s", self._index, error)
        except Exception:
            LOGGER.exception("ps:%d cannot execute the log of ps:0", self._index)
        self._hear("ps:0 is gone." if self._saved is None else self._saved)
        self._lost()

    def _hear(self, failure: str) -> None:
        with self._lock:
            self._saved, when_saved = failure, self._when_saved
        when_saved(failure)
