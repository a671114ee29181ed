"""Servicer: the gRPC methods of a ps. Checks calls, and passes them to the node.

A worker's stream is served by a thread of its own, which waits at the link's outbox for the answer.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterator

import grpc

from distrib.base.arrays import Array, aligned_vector
from distrib.base.errors import ConfigError, ProtocolError, StorageError
from distrib.proto import parameter_server_pb2 as pb
from distrib.proto import parameter_server_pb2_grpc as services
from distrib.ps.policy.errors import JobEndedError, RefusedError
from distrib.ps.policy.identity import CHIEF
from distrib.ps.policy.order.shard import num_brought
from distrib.ps.policy.ranges import ranges_of
from distrib.ps.policy.validation import model_description, phase_description
from distrib.ps.server.node import Node
from distrib.ps.server.read_timeout import ReadTimeout
from distrib.ps.server.replication.follow_service import FollowService
from distrib.ps.server.server_options import ServerOptions
from distrib.ps.server.worker_session import WorkerSession
from distrib.ps.wire import codec, framing
from distrib.ps.wire.framing import Frame


class Servicer(services.ParameterServerServicer):
    """One ps.

    Args:
        options: of the ps.
        on_stop: called when the job has ended, with the reason; empty for a good end.

    Attributes:
        node: what the calls are passed to.
        uninformed: workers that have connected and do not know yet that the job has ended; once it has, without those
            that were gone for good.
    """

    def __init__(self, options: ServerOptions, on_stop: Callable[[str], None]) -> None:
        self._options, self._on_stop = options, on_stop
        self._incarnation = secrets.randbits(62) + 1
        self._processes: dict[int, int] = {}  # the newest incarnation of every worker that was let in
        self.node = Node(options, on_stop)
        self._follow_service = FollowService(self.node, self._incarnation)
        self._end: str | None = None  # why the job has ended; empty for a good end, None before it
        self.uninformed: set[int] = set()
        self._chiefs = 0  # open streams of the chief
        self._changed = threading.Condition()
        self._read_timeout = ReadTimeout(options.read_timeout_s)

    def Work(  # noqa: N802
        self, request_iterator: Iterator[Frame[pb.WorkRequest]], context: grpc.ServicerContext
    ) -> Iterator[Frame[pb.WorkReply]]:
        """Serve one worker until its stream ends."""
        self._authorize(context)
        session: WorkerSession | None = None

        def give_up() -> None:
            context.cancel()
            if session is not None:
                self.node.is_silent(session)

        try:
            rest = self._read_timeout.watched(request_iterator, context.peer(), give_up)
            first = next(rest, None)
            if first is None:
                return
            self._check_end(first.head.hello.worker)
            session = self._welcome(first.head)
            with self._changed:
                self.uninformed.add(session.worker)
                self._chiefs += session.worker == CHIEF
            context.add_callback(lambda: self.node.leave(session))
            welcome = pb.Welcome(ps_incarnation=self._incarnation, shared=session.memory is not None)
            yield Frame(pb.WorkReply(call=first.head.call, welcome=welcome, last=True))
            for request in request_iterator:
                self._check_end(session.worker)
                self._handle(session, request, rest)
                yield from session.replies(request.head.call)
                self._check_end(session.worker)
        except RefusedError as error:
            context.abort(grpc.StatusCode[error.status], str(error))
        except (ProtocolError, ConfigError, StorageError, ValueError) as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{type(error).__name__}: {error}")
        finally:
            if session is not None:
                self.node.leave(session)
                with self._changed:
                    self._chiefs -= session.worker == CHIEF
                    self._changed.notify_all()

    @property
    def has_chief(self) -> bool:
        """Whether the chief is connected."""
        return self._chiefs > 0

    def _check_end(self, worker: int) -> None:
        """Raise `JobEndedError` if the job has ended: then this worker knows."""
        if self._end is not None:
            self._leaves(worker)
            raise JobEndedError(self._end)

    def _leaves(self, worker: int) -> None:
        with self._changed:
            self.uninformed.discard(worker)
            self._changed.notify_all()

    def _welcome(self, request: pb.WorkRequest) -> WorkerSession:
        hello = request.hello
        if request.WhichOneof("what") != "hello" or hello.protocol != codec.PROTOCOL:
            raise ProtocolError(
                f"Expected a greeting in version {codec.PROTOCOL} of the protocol. Received: "
                f"{request.WhichOneof('what')} in version {hello.protocol}. All processes need the same distrib."
            )
        if hello.ps_incarnation not in (0, self._incarnation) and not self.node.state.restores:
            raise RefusedError(f"ps:{hello.ps} was started again since, and has lost its values.")
        session = WorkerSession(hello, self._options.share_memory, request.call)
        self.node.join(session)
        self._processes[session.worker] = session.incarnation
        return session

    def _may_be(self, worker: int, incarnation: int) -> bool:
        """Whether that process is this worker, as far as is known: before one was admitted, any may be."""
        known = self._processes.copy()  # other threads write it
        return known.get(worker) == incarnation or not (worker in known or incarnation in known.values())

    def _handle(
        self, session: WorkerSession, request: Frame[pb.WorkRequest], rest: Iterator[Frame[pb.WorkRequest]]
    ) -> None:
        session.since = time.monotonic()
        head = request.head
        what = head.WhichOneof("what")
        if what == "register":
            self._register(session, request, rest)
        elif what == "begin":
            begin = session.worker, head.call, head.begin.phase, phase_description(head.begin.description)
            self.node.ask(session, lambda sequencer: sequencer.begin(*begin))
        elif what == "state":
            self.node.ask(session, lambda sequencer: sequencer.state(session.worker, head.call))
        elif what == "push":
            self.node.push(session, head.call, head.push, _gradient(session, request, rest))
        else:
            raise ProtocolError(f"Expected a call. Received: {what}.")

    def _register(
        self, session: WorkerSession, request: Frame[pb.WorkRequest], rest: Iterator[Frame[pb.WorkRequest]]
    ) -> None:
        head = request.head
        description, rules = model_description(head.register.description)
        given = description["size"], description["dtype"], len(description["ps"])
        if given != (session.size, session.dtype.name, session.num_ps):
            raise ProtocolError("A description of another model than the stream was opened for.")
        own = ranges_of(description, session.num_ps)[session.ps]
        if own != session.own:
            raise ProtocolError(f"Expected a stream for the range {own}. Received: {session.own}.")
        values = None
        if session.worker == CHIEF:
            values = aligned_vector(session.own.size * num_brought(description), session.dtype)
            session.receive(request, rest, values)
        self.node.register(session, head.call, head.register.phase, description, rules, values)

    def Follow(  # noqa: N802
        self, request_iterator: Iterator[pb.FollowRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.FollowReply]:
        """Serve one other ps until its stream ends."""
        self._authorize(context)
        yield from self._follow_service.serve(request_iterator, context)

    def Stop(  # noqa: N802
        self, request: pb.StopRequest, context: grpc.ServicerContext
    ) -> pb.StopReply:
        """The chief has ended: the current process of it, not one that was refused or replaced."""
        self._authorize(context)
        if not self._may_be(CHIEF, request.incarnation):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "This process is not the chief of the job.")
        with self._changed:
            if self._end is None:
                # One that is between two streams asks again soon. After `node.end`, no other is known to come back.
                self.uninformed = set(filter(self.node.expects, self.uninformed))
            self._end = request.reason
        self._leaves(CHIEF)
        self.node.end()
        self._on_stop(request.reason)
        return pb.StopReply()

    def Leave(  # noqa: N802
        self, request: pb.LeaveRequest, context: grpc.ServicerContext
    ) -> pb.LeaveReply:
        """A worker has ended: the current process of it, not one that was refused or replaced."""
        self._authorize(context)
        if not self._may_be(request.worker, request.incarnation):
            context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, f"This process is not worker {request.worker}."
            )
        self._leaves(request.worker)
        self.node.worker_ended(request.worker)
        return pb.LeaveReply()

    def wait_for_workers(self, seconds: float) -> bool:
        """Wait until all workers that were expected at the end know that the job has ended.

        Args:
            seconds: to wait at most.

        Returns:
            Whether all know.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self.uninformed, seconds)

    def save_now(self) -> None:
        """Make all ps save, and go on. On others than ps:0, and where nothing is saved, this does nothing."""
        self.node.save_now()

    def save_last(self, seconds: float) -> None:
        """Save what all ps keep before this one ends.

        Raises:
            StorageError: it is not on the disk after `seconds`.
        """
        self.node.save_last(seconds)

    def close(self) -> None:
        """End all waits, and finish pending checkpoints."""
        self._read_timeout.close()
        self.node.close()

    def _authorize(self, context: grpc.ServicerContext) -> None:
        token = self._options.token
        if not token:
            return
        given = dict(context.invocation_metadata()).get("authorization", "")
        given = given.decode("latin-1") if isinstance(given, bytes) else given
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "This process does not have the token of the run.")


def add_to_server(servicer: Servicer, server: grpc.Server) -> None:
    """As gRPC's generated function does, but a worker's stream is read and written by `ps/wire/framing.py`."""
    methods = {
        "Work": grpc.stream_stream_rpc_method_handler(
            servicer.Work, framing.read_request, framing.write_reply
        ),
        "Follow": grpc.stream_stream_rpc_method_handler(
            servicer.Follow, pb.FollowRequest.FromString, pb.FollowReply.SerializeToString
        ),
        "Stop": grpc.unary_unary_rpc_method_handler(
            servicer.Stop, pb.StopRequest.FromString, pb.StopReply.SerializeToString
        ),
        "Leave": grpc.unary_unary_rpc_method_handler(
            servicer.Leave, pb.LeaveRequest.FromString, pb.LeaveReply.SerializeToString
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(framing.SERVICE, methods),))


def _gradient(
    session: WorkerSession, request: Frame[pb.WorkRequest], rest: Iterator[Frame[pb.WorkRequest]]
) -> Array | None:
    """The gradient that a push brings; None where nothing is trained."""
    if request.head.push.shared:
        if session.memory is None:
            raise ProtocolError("A push in shared memory, which this ps does not share.")
        return session.memory[0]
    if not request.data and request.head.last:
        return None
    session.receive(request, rest, session.staging)
    return session.staging
