"""FollowService: serves the log of ps:0 to the other ps."""

from __future__ import annotations

from collections.abc import Iterator

import grpc

from distrib.base import background
from distrib.base.errors import ProtocolError
from distrib.base.logs import LOGGER
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.policy.errors import RefusedError
from distrib.ps.server.node import Node
from distrib.ps.server.replication.log_fanout import Followed
from distrib.ps.wire import codec


class FollowService:
    """Serves them, each with the thread that serves the call and one that listens.

    Args:
        node: what they are about.
        incarnation: which process this ps is.
    """

    def __init__(self, node: Node, incarnation: int) -> None:
        self._node, self._incarnation = node, incarnation

    def serve(
        self, requests: Iterator[pb.FollowRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.FollowReply]:
        """Serve one other ps until its stream ends, or another one replaces it."""
        first = next(requests, None)
        if first is None:
            return
        try:
            followed = self._node.state.leader.followed(first.ps)
            stream, heard, messages = followed.begin(first.incarnation, first.has)
        except (RefusedError, ProtocolError) as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        self._node.state.leader.is_back(first.ps)
        context.add_callback(lambda: followed.end(stream))
        background.start(
            lambda: self.listen(first.ps, followed, stream, requests),
            f"ps:{first.ps}",
            lambda error: self._node.state.leader.lost(f"ps:{first.ps} is not heard: {error!r}"),
        )
        yield pb.FollowReply(has=heard, incarnation=self._incarnation)
        for message in messages:
            reply = pb.FollowReply(has=followed.heard)
            reply.MergeFrom(message)
            yield reply

    def listen(self, ps: int, followed: Followed, stream: int, requests: Iterator[pb.FollowRequest]) -> None:
        """Handle the messages of one other ps until its stream ends.

        Args:
            ps: which.
            followed: the log for it.
            stream: number of its stream.
            requests: its messages.
        """

        def handle(request: pb.FollowRequest) -> None:
            if request.ends:
                self._node.save_for_all()
            elif request.HasField("silent"):
                self._node.was_silent(ps, request.silent.worker, request.silent.incarnation)
            elif request.HasField("part"):
                self._node.state.collect(ps, request.part)
                if request.part.last:
                    followed.outbox.put(pb.FollowReply())  # it need not keep so much any longer
            elif request.HasField("arrived"):
                self._node.arrived(codec.push_of(request.arrived), request.call, ps)

        try:
            for request in requests:
                if not followed.hear(stream, request, handle):
                    return
        except grpc.RpcError:
            pass
        except Exception:
            LOGGER.exception("ps:%d has sent an invalid message", ps)
            self._node.state.leader.lost(f"ps:{ps} is lost")
            return
        if followed.end(stream):
            self._node.state.leader.is_away(ps)
