"""Client: a worker's streams to every ps.

A call goes to all ps at once: each gets its slice of the gradient, and each answers with its slice of the values;
ps:0 also says what was decided. If a stream breaks, all are opened anew and the same call is sent again: it has
the same sequence number, so it is counted once.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import grpc
import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import AuthenticationError, PeerLostError
from distrib.base.logs import LOGGER
from distrib.base.ranges import Range, split
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.client.goodbye import tell_all
from distrib.ps.client.shared_vectors import SharedVectors
from distrib.ps.client.stream import Deadline, Stream, check_retried, message_of
from distrib.ps.wire import codec, tls
from distrib.ps.wire.framing import Frame

_RETRY_S = 0.2
TELL_EVERY_S = 5.0


class Client:
    """Calls of one worker.

    Args:
        addresses: `host:port` of every ps.
        worker: which worker this is; 0 is the chief.
        token: of the run; empty for none.
        timeout_s: seconds to wait for the answer to a call.
        connect_timeout_s: seconds to wait for the ps to come, or to come back.
        share_memory: offer shared memory to ps on this host.

    Attributes:
        bytes_sent: of gradients, over streams.
        pull_s: seconds in which the values of the last answer came.
        has_pushed: whether a push was answered.
        memory: vectors that ps on this host use in place.
        streams: to every ps, in their order; empty while there are none.
        parts: the range of the flat vector that every ps keeps.
        shares: of every stream, whether vectors go through shared memory.
        last_call: number of the last call, from 1; each try has a number of its own.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        worker: int,
        token: str = "",
        timeout_s: float = 600.0,
        connect_timeout_s: float = 60.0,
        share_memory: bool = True,
    ) -> None:
        self.worker, self.incarnation = worker, secrets.randbits(62)
        self.bytes_sent, self.pull_s = 0, 0.0
        self._addresses = list(addresses)
        self._timeout_s, self._connect_timeout_s = timeout_s, connect_timeout_s
        self._metadata = [("authorization", f"Bearer {token}")] if token else []
        self.streams: list[Stream] = []
        self._broken: list[Stream] = []  # of those, in the order in which they broke
        self._ps_incarnations = [0] * len(self._addresses)
        self.last_call = 0
        self._handshakes = tls.Handshakes()
        self._size, self._dtype = 0, np.dtype(np.float32)
        self.parts = split(0, len(self._addresses))
        self.memory = SharedVectors(share_memory)
        self.shares: list[bool] = []
        self._is_closed = self.has_pushed = False
        self._failure = ""
        self._deadline = Deadline(self.cancel, self._remind)

    def place(
        self, size: int, dtype: np.dtype[Any], parts: Sequence[Range] | None = None
    ) -> tuple[Array, Array] | None:
        """Memory for gradients and values that a ps on this host can use in place; None if there is none.

        Args:
            size: number of elements of the model that is trained from now on.
            dtype: their dtype.
            parts: the range of the flat vector that every ps keeps; near-equal ones by default.
        """
        self.disconnect()  # streams are opened for one model
        self._size, self._dtype, self.parts = size, dtype, list(parts or split(size, len(self._addresses)))
        return self.memory.place(size, dtype)

    def register(
        self, phase: int, description: dict[str, Any], values: Array, slots: Sequence[Array] = ()
    ) -> pb.Answer:
        """Register a model. `values` are overwritten with those of the job.

        Args:
            phase: that begins.
            description: of the model; with `"start"`, where the chief goes on.
            values: `(num_elements,)`; the chief's count.
            slots: where the chief goes on, each `(num_elements,)`.
        """
        message = pb.Register(phase=phase, description=json.dumps(description))
        brought = np.stack([values, *slots]) if slots else values
        return self._ask(pb.WorkRequest(register=message), None if self.worker else brought, values)

    def state(self, rows: Array) -> pb.Answer:
        """Ask for all that is kept, of one version.

        Args:
            rows: `(1 + slots, num_elements)`; overwritten with the values and the slots.
        """
        return self._ask(pb.WorkRequest(state=pb.State()), None, rows)

    def begin(self, phase: int, description: dict[str, Any], values: Array) -> pb.Answer:
        """Begin an epoch; returns the first lease."""
        message = pb.Begin(phase=phase, description=json.dumps(description))
        return self._ask(pb.WorkRequest(begin=message), None, values)

    def push(self, message: pb.Push, gradient: Array | None, values: Array) -> pb.Answer:
        """Hand in what was computed; returns what became of it and the next lease.

        Args:
            message: the push.
            gradient: `(num_elements,)`; None where nothing is trained.
            values: overwritten with fresh ones.
        """
        answer = self._ask(pb.WorkRequest(push=message), gradient, values)
        self.has_pushed = True
        return answer

    def stop(self, reason: str = "") -> None:
        """End the job on every ps, and close; those that do not answer are left alone."""
        self._tell_all(pb.StopRequest(reason=reason, incarnation=self.incarnation))

    def leave(self) -> None:
        """Tell every ps that this worker has ended, and close; see `stop`."""
        self._tell_all(pb.LeaveRequest(worker=self.worker, incarnation=self.incarnation))

    def _tell_all(self, message: pb.StopRequest | pb.LeaveRequest) -> None:
        tell_all([each.channel for each in self.streams], self._addresses, self._metadata, message)
        self.close()

    def fail(self, reason: str) -> None:
        """Make the current or next call raise `PeerLostError`. Called from another thread."""
        self._failure = reason
        self.cancel()

    def close(self) -> None:
        """Close the streams, and release the shared memory."""
        self._is_closed = True
        self.disconnect()
        self.memory.close()
        self._deadline.close()

    def disconnect(self) -> None:
        """Close the streams. The next call opens new ones."""
        streams, self.streams, self._broken = self.streams, [], []
        for stream in streams:
            stream.close()

    def _break(self, stream: Stream) -> None:
        """A stream has broken. What is waited for on another one may not come without it, so all are given up."""
        if stream in self.streams:
            self._broken.append(stream)
            self.cancel()

    def _ask(self, request: pb.WorkRequest, sent: Array | None, values: Array) -> pb.Answer:
        lost_since, warned, tries, begin = 0.0, 0.0, 0, time.monotonic()
        while True:
            if self._is_closed or self._failure:
                raise PeerLostError(self._failure or f"Worker {self.worker} has left the job.")
            try:
                if not self.streams:
                    self.connect(time.monotonic() - lost_since if lost_since else 0.0)
                    lost_since = 0.0
                return self.exchange(request, sent, values)
            except grpc.RpcError as caught:
                cancelled = caught.code() == grpc.StatusCode.CANCELLED and bool(self._broken)
                error = self._broken[0].error if cancelled else caught
                self.disconnect()
                now = time.monotonic()
                lost_since, tries = lost_since or now, tries + 1
                self._judge(error, now - lost_since, now - begin, tries)
                if now - warned > TELL_EVERY_S:
                    warned = now
                    LOGGER.warning("worker %d waits for the ps: %s", self.worker, message_of(error))
                time.sleep(_RETRY_S)

    def _judge(self, error: grpc.RpcError, lost_s: float, asked_s: float, tries: int) -> None:
        """Raise what cannot be mended by another try."""
        message = message_of(error)
        check_retried(error, self.worker)
        if self._handshakes.is_hopeless(message, any(self._ps_incarnations), time.monotonic()):
            raise AuthenticationError(
                f"Worker {self.worker} does not get through to the ps at {', '.join(self._addresses)}: {message}. "
                f"{tls.ADVICE}"
            ) from None
        if asked_s > self._timeout_s:
            raise PeerLostError(
                f"Worker {self.worker} has made one call {tries} times in {asked_s:.0f} s, and its streams broke "
                f"before the answer: {message}. Is a link slower than a message in 2 s?"
            ) from None
        if lost_s > self._connect_timeout_s:
            raise PeerLostError(
                f"Worker {self.worker} waited {self._connect_timeout_s:g} s for the ps at "
                f"{', '.join(self._addresses)}: {message}"
            ) from None

    def connect(self, waited_s: float = 0.0) -> None:
        """Open a stream to every ps.

        Args:
            waited_s: seconds since the streams before were lost.

        Raises:
            grpc.RpcError: a ps does not answer, or refuses this worker.
        """
        self.shares = []
        for index, address in enumerate(self._addresses):
            stream = Stream(address, self._metadata)
            self.streams.append(stream)
            hello = pb.Hello(
                protocol=codec.PROTOCOL,
                worker=self.worker,
                incarnation=self.incarnation,
                ps=index,
                ps_incarnation=self._ps_incarnations[index],
                num_ps=len(self._addresses),
                num_elements=self._size,
                dtype=self._dtype.name,
                waited=waited_s,
                begin=self.parts[index].begin,
                end=self.parts[index].end,
            )
            if (offered := self.memory.address) is not None:
                hello.segment.CopyFrom(offered)
            stream.send(Frame(pb.WorkRequest(call=self.last_call, hello=hello, last=True)))
            with self._deadline.of(self._connect_timeout_s):
                welcome = stream.reply().head.welcome
            self._ps_incarnations[index] = welcome.ps_incarnation
            self.shares.append(welcome.shared)
            stream.when_broken(partial(self._break, stream))

    def exchange(self, request: pb.WorkRequest, sent: Array | None, values: Array) -> pb.Answer:
        """Send a call to every ps, and wait for their answers. Raises `grpc.RpcError` where a stream breaks.

        Args:
            request: the call; its number is set here.
            sent: `(..., num_elements)`, of which every ps gets its part; None for nothing.
            values: `(num_elements,)`, overwritten with fresh values; or see `state`.

        Returns:
            The answer of ps:0.
        """
        # Each try has a number of its own. With that of the first, a late answer to it could be taken for one to this
        # try, and the gradient in shared memory be overwritten while the log of a ps still refers to it.
        self.last_call += 1
        request.call = self.last_call
        is_gradient = request.WhichOneof("what") == "push" and sent is not None
        for stream, part, shares in zip(self.streams, self.parts, self.shares, strict=True):
            mine = None
            if is_gradient:
                request.push.shared = shares
            if sent is not None and not (is_gradient and shares):
                mine = np.ascontiguousarray(sent[..., part.begin : part.end]).reshape(-1)
            self.bytes_sent += 0 if mine is None else mine.nbytes
            for index, piece in enumerate(codec.NOTHING if mine is None else codec.pieces(mine)):
                head = pb.WorkRequest(call=request.call)
                if not index:
                    head.CopyFrom(request)  # streams write it later, and mark it differently
                head.last = piece.is_last
                stream.send(Frame(head, piece.offset, piece.data))
        answers, begin = [], 0.0
        with self._deadline.of(self._timeout_s):
            for stream, part, shares in zip(self.streams, self.parts, self.shares, strict=True):
                # The values as one vector, or the rows of a state, which always travel.
                rows = np.empty(len(values) * part.size if values.ndim > 1 else 0, self._dtype)
                target = rows if values.ndim > 1 else values[part.slice]
                assembler = codec.Assembler(target)
                while True:
                    head, offset, data = stream.reply()
                    begin = begin or time.monotonic()
                    if head.HasField("answer"):
                        answers.append(head.answer)
                    assembler.add(offset, data)
                    if head.last:
                        break
                if not shares or values.ndim > 1:
                    assembler.finish()
                if values.ndim > 1:
                    values[:, part.slice] = target.reshape(len(values), -1)
        self.pull_s = time.monotonic() - begin
        return answers[0]

    def _remind(self, seconds: float) -> None:
        message = "worker %d has waited %.0f s for an answer: others are late (are all started?), or the ps is busy."
        LOGGER.warning(message, self.worker, seconds)

    def cancel(self) -> None:
        """Let the call that waits for an answer fail. Called from other threads."""
        for stream in self.streams:
            stream.cancel()
