"""WorkerSession: a worker's stream to one ps, with the memory for its vectors and its pending replies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np

from distrib.base.arrays import Array, aligned_vector, training_dtype
from distrib.base.errors import ConfigError, ProtocolError
from distrib.base.ranges import Range
from distrib.host.memory_limits import check_headroom
from distrib.host.shared_segment import mapped
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.policy.errors import AlreadyRunningError, RefusedError
from distrib.ps.policy.identity import SEQUENCER
from distrib.ps.policy.order.command_log import Pull
from distrib.ps.policy.order.pending_calls import CallAnswer
from distrib.ps.policy.order.shard import Shard
from distrib.ps.wire import codec
from distrib.ps.wire.framing import Frame
from distrib.ps.wire.grpc_options import CHUNK_BYTES, SURELY_LIVES_S

_MEMORY_FACTOR = 4
"""A ps takes this many times its range at least: values, two slots, and a gradient."""


class Reply(NamedTuple):
    """The next reply on a worker's stream."""

    call: int
    answer: pb.Answer
    values: list[codec.Chunk]


class WorkerSession:
    """One worker's stream.

    Args:
        hello: its greeting.
        share_memory: use the memory that it offers, if it is on this host.
        last_call: number of the worker's last call over the stream before; answers to that and to earlier ones come
            too late for this stream.

    Attributes:
        memory: the worker's own gradients and values in this ps's range, mapped; None if they travel.
        staging: where gradients that travel are put together.
        since: when the call that is served now was here, whole.
        waited: seconds for which the worker had asked to be let in.
        outbox: what the stream sends next; an error to end it with, or None to end it.
        values: the number of a call, and the values that were pulled for it.

    Raises:
        ProtocolError: a ps that is none.
        ConfigError: the model is too large for this ps.
    """

    def __init__(self, hello: pb.Hello, share_memory: bool, last_call: int = 0) -> None:
        self.last_call = last_call
        self.worker, self.incarnation = hello.worker, hello.incarnation
        self.ps, self.num_ps = hello.ps, hello.num_ps
        self.size, self.dtype = hello.num_elements, training_dtype(hello.dtype)
        if not self.ps < self.num_ps:
            raise ProtocolError(f"Expected a ps below {self.num_ps}. Received: ps:{self.ps}.")
        near_equal = Range(0, self.size).part(self.ps, self.num_ps)
        own = Range(hello.begin, hello.end) if hello.end else near_equal
        if not own.begin <= own.end <= self.size:
            raise ProtocolError(f"Expected a range of {self.size} elements. Received: {own}.")
        check_memory(own.size * self.dtype.itemsize * _MEMORY_FACTOR)
        self.memory = _mapped(hello.segment, self.size, self.dtype, own) if share_memory else None
        self.staging = aligned_vector(0 if self.memory else own.size, self.dtype)
        self._outgoing = aligned_vector(0, self.dtype)
        self.own = own
        self.since, self.waited = time.monotonic(), hello.waited
        self.outbox: SimpleQueue[Reply | BaseException | None] = SimpleQueue()
        self.values: tuple[int, list[codec.Chunk]] = (0, [])

    def receive(
        self, request: Frame[pb.WorkRequest], rest: Iterator[Frame[pb.WorkRequest]], target: Array
    ) -> None:
        """Put together the vector of a call, which may take several messages. Raises `ProtocolError`."""
        assembler = codec.Assembler(target)
        chunks_left = codec.most_chunks(target.nbytes)
        while True:
            assembler.add(request.offset, request.data)
            if request.head.last:
                break
            chunks_left -= 1
            if not request.data or chunks_left <= 0:
                raise ProtocolError(
                    f"Expected a vector in chunks of about {CHUNK_BYTES} bytes. Received: "
                    f"{'too many' if request.data else 'an empty one'}."
                )
            following = next(rest, None)
            if following is None or following.head.WhichOneof("what") is not None:
                raise ProtocolError("Expected the next chunk of a vector. Received: something else.")
            request = following
        assembler.finish()
        self.since = time.monotonic()

    def hand_over(self, values: Array) -> list[codec.Chunk]:
        """Write values into the worker's memory; or else the chunks to send to it, which stay until its next call."""
        if self.memory is None:
            if self._outgoing.shape != values.shape:
                self._outgoing = aligned_vector(values.size, values.dtype)
            np.copyto(self._outgoing, values)
            return list(codec.pieces(self._outgoing))
        if self.memory[1].shape == values.shape:
            np.copyto(self.memory[1], values)
        return []

    def answer(self, call: int, message: pb.Answer) -> None:
        """Send this on the stream, with the values that were pulled for the call."""
        message.waited = time.monotonic() - self.since
        number, values = self.values
        self.outbox.put(Reply(call, message, values if number == call else []))

    def replies(self, call: int) -> Iterator[Frame[pb.WorkReply]]:
        """Wait for the answer to a call, and say what is sent; nothing if the stream has ended."""
        while True:
            item = self.outbox.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            if item.call == call:
                break
        answer: pb.Answer | None = item.answer
        for piece in item.values or codec.NOTHING:
            yield Frame(pb.WorkReply(call=call, answer=answer, last=piece.is_last), piece.offset, piece.data)
            answer = None


class WorkerSessions:
    """The streams of all workers: one for each."""

    def __init__(self) -> None:
        self._all: dict[int, WorkerSession] = {}

    def join(self, session: WorkerSession) -> None:
        """Take a worker's stream, replacing the one that it had.

        Raises:
            AlreadyRunningError: there is one of another process. While the end of that may not be noticed yet, its
                successor tries again.
        """
        before = self._all.get(session.worker)
        if before is not None and before.incarnation != session.incarnation:
            has_spoken = before.since > session.since - session.waited
            raise AlreadyRunningError(session.worker, has_spoken or session.waited > SURELY_LIVES_S)
        if before is not None:
            before.outbox.put(None)
        self._all[session.worker] = session

    def leave(self, session: WorkerSession) -> bool:
        """A stream has ended; whether its worker has no other one."""
        session.outbox.put(None)
        if self._all.get(session.worker) is not session:
            return False
        del self._all[session.worker]
        return True

    def check_current(self, session: WorkerSession) -> None:
        """Raise `RefusedError` for a call over a stream that has ended or been replaced; it may be made again."""
        if self._all.get(session.worker) is not session:
            raise RefusedError(f"A call of worker {session.worker} over a stream that it has given up.")

    @property
    def workers(self) -> tuple[int, ...]:
        """The workers that have a stream, by number."""
        return tuple(sorted(self._all))

    def get(self, worker: int) -> WorkerSession | None:
        """The stream of a worker, if it has one."""
        return self._all.get(worker)

    def answer(self, answer: CallAnswer, summary: str) -> None:
        """Send a decision to a worker, or end its stream with the refusal; nothing if it has no stream."""
        session = self._all.get(answer.worker)
        if session is not None and answer.refusal:
            session.outbox.put(RefusedError(answer.refusal))
        elif session is not None:
            session.answer(answer.call, codec.answer_message(answer, summary))

    def pull(self, entry: Pull, shard: Shard | None) -> None:
        """Keep the values, as they are now, for a worker's answer; ps:0 answers later, another ps at once."""
        session = self._all.get(entry.worker)
        if session is None or entry.call <= session.last_call:
            return
        if shard is not None:
            chunks = list(codec.pieces(shard.state())) if entry.state else session.hand_over(shard.values)
            session.values = entry.call, chunks
        if session.ps != SEQUENCER:
            session.answer(entry.call, pb.Answer(version=entry.version))

    def refuse(self, worker: int, error: RefusedError) -> None:
        """End the stream of a worker with an error; nothing if it has none."""
        if (session := self._all.get(worker)) is not None:
            session.outbox.put(error)

    def end_all(self) -> None:
        """Send no more answers."""
        for session in self._all.values():
            session.outbox.put(None)


def _mapped(segment: pb.Segment, size: int, dtype: np.dtype[Any], own: Range) -> tuple[Array, Array] | None:
    """A worker's gradients and values in this ps's range, if both are on one host."""
    if not segment.pid or segment.num_bytes != 2 * size * dtype.itemsize:
        return None
    try:
        memory = mapped([segment.pid, segment.descriptor, segment.num_bytes, segment.nonce]).view(dtype)
    except OSError:
        return None
    return memory[:size][own.slice], memory[size:][own.slice]


def check_memory(num_bytes: int) -> None:
    """Raise `ConfigError` if there is not so much memory left, on this host or in this container."""
    try:
        check_headroom(num_bytes)
    except OSError as error:
        raise ConfigError(f"The model does not fit on this ps: {error}. Use more ps.") from None
