"""Servicer: the calls of gRPC, turned into events of the sequencer and into entries for the shard.

One lock guards both. A worker's stream is served by a thread of its own, which waits at its outbox for the answer.
Other ps follow the log of ps:0: they tell it which slices have arrived, and execute what it decides.
"""

from __future__ import annotations

import hmac
import json
import math
import secrets
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any, NamedTuple

import grpc
import numpy as np

from distrib.arrays import Array, aligned_vector, training_dtype
from distrib.comm.segment import mapped
from distrib.errors import ConfigError, ProtocolError
from distrib.logs import LOGGER
from distrib.proto import parameter_server_pb2 as pb
from distrib.proto import parameter_server_pb2_grpc as services
from distrib.ps import codec
from distrib.ps.follower import Follower
from distrib.ps.rules import rules_from_config
from distrib.ps.sequencer import CHIEF, Answer, Entry, Pull, PushId, RefusedError, Sequencer
from distrib.ps.shard import Shard
from distrib.ranges import Range

SEQUENCER = 0

_MEMORY_FACTOR = 4
"""A ps takes this many times its range at least: values, two slots, and a gradient."""


class _Reply(NamedTuple):
    """What a worker's stream sends next."""

    call: int
    answer: pb.Answer
    values: list[pb.Chunk]


class _Link:
    """One worker's stream."""

    def __init__(self, hello: pb.Hello, share_memory: bool) -> None:
        self.worker, self.incarnation = hello.worker, hello.incarnation
        self.ps, self.num_ps = hello.ps, hello.num_ps
        self.size, self.dtype = hello.num_elements, training_dtype(hello.dtype)
        if not self.ps < self.num_ps:
            raise ProtocolError(f"Expected a ps below {self.num_ps}. Received: ps:{self.ps}.")
        own = Range(0, self.size).part(self.ps, self.num_ps)
        _check_memory(own.size * self.dtype.itemsize * _MEMORY_FACTOR)
        self.memory = _mapped(hello.segment, self.size, self.dtype, own) if share_memory else None
        self.staging = aligned_vector(0 if self.memory else own.size, self.dtype)
        self.own = own
        self.outbox: SimpleQueue[_Reply | BaseException | None] = SimpleQueue()
        self.values: tuple[int, list[pb.Chunk]] = (0, [])


class _Arriving(NamedTuple):
    """A push that is not yet whole on every ps, and what to do when it is."""

    where: set[int]
    event: Callable[[], None]


class Servicer(services.ParameterServerServicer):
    """One ps.

    Args:
        token: what a worker must know; empty for nothing.
        on_stop: called when the chief has ended the job, with the reason.
        share_memory: use the memory that workers of this host offer.
    """

    def __init__(self, token: str, on_stop: Callable[[str], None], share_memory: bool = True) -> None:
        self._token, self._on_stop, self._share_memory = token, on_stop, share_memory
        self._lock = threading.RLock()
        self._incarnation = secrets.randbits(62) + 1
        self._links: dict[int, _Link] = {}
        self._sequencer: Sequencer | None = None
        self._shard: Shard | None = None
        self._description: dict[str, Any] = {}
        self._arriving: dict[PushId, _Arriving] = {}
        self._followers: dict[int, SimpleQueue[pb.FollowReply | None]] = {}
        self._follower: Follower | None = None
        self._stopped = False

    # --- a worker's stream --------------------------------------------------------------------------------------

    def Work(  # noqa: N802
        self, request_iterator: Iterator[pb.WorkRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.WorkReply]:
        """Serve one worker until its stream ends."""
        self._authorize(context)
        link: _Link | None = None
        try:
            request = next(request_iterator, None)
            if request is None:
                return
            link = self._welcome(request)
            context.add_callback(lambda: self._gone(link))
            welcome = pb.Welcome(ps_incarnation=self._incarnation, shared=link.memory is not None)
            yield pb.WorkReply(call=request.call, welcome=welcome, last=True)
            for request in request_iterator:
                self._handle(link, request, request_iterator)
                yield from self._replies(link, request.call)
        except RefusedError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except (ProtocolError, ConfigError, ValueError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{type(error).__name__}: {error}")
        finally:
            if link is not None:
                self._gone(link)

    def _welcome(self, request: pb.WorkRequest) -> _Link:
        hello = request.hello
        if request.WhichOneof("what") != "hello" or hello.protocol != codec.PROTOCOL:
            raise ProtocolError(
                f"Expected a greeting in version {codec.PROTOCOL} of the protocol. Received: "
                f"{request.WhichOneof('what')} in version {hello.protocol}. All processes need the same distrib."
            )
        if hello.ps_incarnation not in (0, self._incarnation):
            raise RefusedError(f"ps:{hello.ps} was started again since, and has lost its values.")
        link = _Link(hello, self._share_memory)
        with self._lock:
            before = self._links.get(link.worker)
            if before is not None and before.incarnation != link.incarnation:
                raise RefusedError(
                    f"Worker {link.worker} is running already. Only one process may be worker {link.worker}."
                )
            if before is not None:
                before.outbox.put(None)
            self._links[link.worker] = link
            if self._sequencer is not None:
                self._sequencer.join(link.worker, link.incarnation)
                self._settle()
        return link

    def _handle(self, link: _Link, request: pb.WorkRequest, rest: Iterator[pb.WorkRequest]) -> None:
        what = request.WhichOneof("what")
        if what == "register":
            self._register(link, request, rest)
        elif what == "begin":
            description = _parsed(request.begin.description)
            with self._lock:
                if link.ps == SEQUENCER:
                    self._decider().begin(link.worker, request.call, request.begin.stage, description)
                    self._settle()
        elif what == "push":
            self._push(link, request, rest)
        else:
            raise ProtocolError(f"Expected a call. Received: {what}.")

    def _register(self, link: _Link, request: pb.WorkRequest, rest: Iterator[pb.WorkRequest]) -> None:
        description = _parsed(request.register.description)
        try:
            size, dtype = int(description["size"]), training_dtype(description["dtype"])
            addresses, rules = list(description["ps"]), rules_from_config(description["rules"])
        except KeyError as error:
            raise ProtocolError(f"The description of the model lacks {error}.") from None
        if (size, dtype, len(addresses)) != (link.size, link.dtype, link.num_ps):
            raise ProtocolError("A description of another model than the stream was opened for.")
        push = None
        if link.worker == CHIEF:
            values = aligned_vector(link.own.size, dtype)
            _receive(request, rest, values)
            push = PushId(CHIEF, link.incarnation, 0)
        with self._lock:
            if push is not None:
                if self._shard is None:
                    self._shard = Shard(link.ps, len(addresses))
                self._shard.prepare(description)
                self._shard.stage(push, values)
                self._description = description
                if link.ps != SEQUENCER and self._follower is None:
                    self._follower = Follower(addresses[SEQUENCER], link.ps, self._token, self._execute)
            if link.ps == SEQUENCER:
                if self._sequencer is None:
                    self._sequencer = Sequencer(rules)
                    self._followers = {index: SimpleQueue() for index in range(1, len(addresses))}
                sequencer = self._sequencer
                sequencer.join(link.worker, link.incarnation)
                stage = request.register.stage
                self._when_whole(
                    push,
                    lambda: sequencer.register(link.worker, request.call, stage, description, push),
                )
            elif push is not None and self._follower is not None:
                self._follower.arrived(push)

    def _push(self, link: _Link, request: pb.WorkRequest, rest: Iterator[pb.WorkRequest]) -> None:
        message = request.push
        push = PushId(link.worker, link.incarnation, message.sequence)
        trains = message.shared or request.HasField("chunk")
        gradient = None
        if message.shared:
            if link.memory is None:
                raise ProtocolError("A push in shared memory, which this ps does not share.")
            gradient = link.memory[0]
        elif trains:
            gradient = link.staging
            _receive(request, rest, gradient)
        if gradient is not None and not message.skip and not message.allow_nonfinite:
            self._check_finite(gradient)
        with self._lock:
            if gradient is not None:
                if self._shard is None or gradient.shape != self._shard.values.shape:
                    raise ProtocolError("A gradient of another model than the one that is trained.")
                self._shard.stage(push, gradient)
            if link.ps == SEQUENCER:
                sequencer = self._decider()
                tally = np.array(message.tally)
                rate = message.learning_rate if message.HasField("learning_rate") else None

                def event() -> None:
                    sequencer.push(
                        push,
                        request.call,
                        message.stage,
                        message.lease,
                        message.version,
                        tally,
                        message.skip,
                        rate,
                    )

                self._when_whole(push if trains else None, event)
            elif trains and self._follower is not None:
                self._follower.arrived(push)

    def _replies(self, link: _Link, call: int) -> Iterator[pb.WorkReply]:
        while True:
            item = link.outbox.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            if item.call == call:
                break
        answer: pb.Answer | None = item.answer
        for chunk, last in codec.answer_parts(item.values):
            yield pb.WorkReply(call=call, answer=answer, chunk=chunk, last=last)
            answer = None

    def _gone(self, link: _Link) -> None:
        with self._lock:
            link.outbox.put(None)
            if self._links.get(link.worker) is not link:
                return
            del self._links[link.worker]
            for push in [push for push in self._arriving if push.worker == link.worker]:
                del self._arriving[push]
            if self._sequencer is not None and link.ps == SEQUENCER and not self._stopped:
                self._sequencer.leave(link.worker, link.incarnation)
                self._settle()

    # --- decisions ----------------------------------------------------------------------------------------------

    def _decider(self) -> Sequencer:
        if self._sequencer is None:
            raise RefusedError("Register a model first.")
        return self._sequencer

    def _when_whole(self, push: PushId | None, event: Callable[[], None]) -> None:
        """Let an event happen when its vector has arrived on every ps."""
        if push is None or not self._followers:
            event()
            self._settle()
            return
        before = self._arriving.get(push)
        self._arriving[push] = _Arriving(before.where if before else set(), event)
        self._arrived(push, SEQUENCER)

    def _arrived(self, push: PushId, ps: int) -> None:
        arriving = self._arriving.get(push)
        if arriving is None:
            arriving = self._arriving[push] = _Arriving(set(), lambda: None)
        arriving.where.add(ps)
        if SEQUENCER in arriving.where and len(arriving.where) == 1 + len(self._followers):
            del self._arriving[push]
            link = self._links.get(push.worker)
            try:
                arriving.event()
            except RefusedError as error:
                if link is not None:
                    link.outbox.put(error)
            self._settle()

    def _settle(self) -> None:
        """Execute what was decided, and send what was answered."""
        sequencer = self._sequencer
        if sequencer is None:
            return
        for entry in sequencer.log:
            for queue in self._followers.values():
                queue.put(codec.entry_message(entry))
            self._execute(entry)
        sequencer.log.clear()
        for answer in sequencer.answers:
            self._send(answer, sequencer)
        sequencer.answers.clear()

    def _execute(self, entry: Entry) -> None:
        """The next entry of the log, on this ps."""
        with self._lock:
            if self._shard is not None:
                self._shard.execute(entry)
            if isinstance(entry, Pull):
                self._pull(entry)

    def _pull(self, entry: Pull) -> None:
        link = self._links.get(entry.worker)
        if link is None:
            return
        values: list[pb.Chunk] = []
        if self._shard is not None:
            if link.memory is None:
                values = codec.chunks(self._shard.values)
            elif link.memory[1].shape == self._shard.values.shape:
                np.copyto(link.memory[1], self._shard.values)
        if link.ps == SEQUENCER:
            link.values = (entry.call, values)
        else:
            answer = pb.Answer(version=entry.version)
            link.outbox.put(_Reply(entry.call, answer, values))

    def _send(self, answer: Answer, sequencer: Sequencer) -> None:
        link = self._links.get(answer.worker)
        if link is None:
            return
        summary = json.dumps(sequencer.summary()) if answer.lease is None else ""
        message = codec.answer_message(answer, summary)
        call, values = link.values
        link.outbox.put(_Reply(answer.call, message, values if call == answer.call else []))

    # --- other ps, and the end ----------------------------------------------------------------------------------

    def Follow(  # noqa: N802
        self, request_iterator: Iterator[pb.FollowRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.FollowReply]:
        """Serve one other ps until its stream ends."""
        self._authorize(context)
        first = next(request_iterator, None)
        if first is None:
            return
        with self._lock:
            # Its registration may come before that of ps:0: its queue holds the log from the beginning.
            queue = self._followers.setdefault(first.ps, SimpleQueue())
        context.add_callback(lambda: queue.put(None))
        threading.Thread(
            target=self._listen, args=(first.ps, request_iterator), name=f"ps:{first.ps}", daemon=True
        ).start()
        while (entry := queue.get()) is not None:
            yield entry

    def _listen(self, ps: int, requests: Iterator[pb.FollowRequest]) -> None:
        try:
            for request in requests:
                with self._lock:
                    self._arrived(codec.push_of(request.arrived), ps)
        except grpc.RpcError:
            pass
        if not self._stopped:
            self._fail(f"ps:{ps} is lost")

    def _fail(self, reason: str) -> None:
        LOGGER.error("%s: the job ends.", reason)
        self._on_stop(reason)

    def Stop(  # noqa: N802
        self, request: pb.StopRequest, context: grpc.ServicerContext
    ) -> pb.StopReply:
        """The chief has ended."""
        self._authorize(context)
        self._stopped = True
        self._on_stop(request.reason)
        return pb.StopReply()

    def close(self) -> None:
        """Follow no longer, and let nobody wait."""
        self._stopped = True
        with self._lock:
            if self._follower is not None:
                self._follower.close()
            for queue in self._followers.values():
                queue.put(None)
            for link in self._links.values():
                link.outbox.put(None)

    # --- checks -------------------------------------------------------------------------------------------------

    def _authorize(self, context: grpc.ServicerContext) -> None:
        if not self._token:
            return
        given = dict(context.invocation_metadata()).get("authorization", "")
        given = given.decode("latin-1") if isinstance(given, bytes) else given
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "This process has not the token of the run.")

    def _check_finite(self, gradient: Array) -> None:
        if math.isfinite(np.dot(gradient, gradient)) or np.isfinite(gradient).all():
            return
        begin = 0 if self._shard is None else self._shard.own.begin
        index = begin + int(np.flatnonzero(~np.isfinite(gradient))[0])
        names = [name for name, first, end in self._description.get("layout", []) if first <= index < end]
        raise ProtocolError(
            f"NaN or Inf in the gradient of {', '.join(names)}, in a push that says it is finite."
        )


def _mapped(segment: pb.Segment, size: int, dtype: np.dtype[Any], own: Range) -> tuple[Array, Array] | None:
    """A worker's gradients and values in this ps's range, if both are on one host."""
    if not segment.pid or segment.num_bytes != 2 * size * dtype.itemsize:
        return None
    try:
        memory = mapped([segment.pid, segment.descriptor, segment.num_bytes]).view(dtype)
    except OSError:
        return None
    return memory[:size][own.slice], memory[size:][own.slice]


def _parsed(text: str) -> dict[str, Any]:
    try:
        description = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"Expected a description as JSON: {error}") from None
    if not isinstance(description, dict):
        raise ProtocolError("Expected a description as a JSON object.")
    return description


def _receive(request: pb.WorkRequest, rest: Iterator[pb.WorkRequest], target: Array) -> None:
    """Put together the vector of a call, which may take several messages."""
    assembler = codec.Assembler(target)
    while True:
        if request.HasField("chunk"):
            assembler.add(request.chunk)
        if request.last:
            break
        following = next(rest, None)
        if following is None or following.WhichOneof("what") is not None:
            raise ProtocolError("Expected the next chunk of a vector. Received: something else.")
        request = following
    assembler.finish()


def _check_memory(num_bytes: int) -> None:
    with open("/proc/meminfo") as file:
        free = next(1024 * int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
    if num_bytes > free:
        raise ConfigError(f"The model needs {num_bytes} bytes on this ps. Free: {free}. Use more ps.")
