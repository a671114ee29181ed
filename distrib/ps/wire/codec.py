"""Codec: converts vectors to chunks, and objects of the policies to messages, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ProtocolError
from distrib.base.ranges import Range
from distrib.data.schedule import Positions
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.policy.admission.ledger import Lease
from distrib.ps.policy.identity import PushId
from distrib.ps.policy.order.command_log import Apply, Cut, Discard, Entry, Install, Keep, Pull
from distrib.ps.policy.order.pending_calls import CallAnswer
from distrib.ps.policy.order.sequencer import PushRequest
from distrib.ps.wire.grpc_options import CHUNK_BYTES

PROTOCOL = 5

_DECISIONS = {
    "": pb.NOTHING,
    "applied": pb.APPLIED,
    "scaled": pb.SCALED,
    "accepted": pb.ACCEPTED,
    "dropped": pb.DROPPED,
}
_WORDS = {number: word for word, number in _DECISIONS.items()}


class Chunk(NamedTuple):
    """A piece of a vector, of about 1 MiB: a view.

    Attributes:
        offset: where it begins, in bytes.
        data: its bytes.
        is_last: whether it is the last one.
    """

    offset: int
    data: memoryview
    is_last: bool


NOTHING = (Chunk(0, memoryview(b""), True),)
"""The chunks of no vector: a single empty one."""


def pieces(vector: Array) -> Iterator[Chunk]:
    """A C-contiguous vector in pieces."""
    raw = vector.view(np.uint8).data
    if not raw.nbytes:
        yield from NOTHING
    for begin in range(0, raw.nbytes, CHUNK_BYTES):
        end = begin + CHUNK_BYTES
        yield Chunk(begin, raw[begin:end], end >= raw.nbytes)


def most_chunks(num_bytes: int) -> int:
    """In how many chunks a vector may come: twice as many as `pieces` makes, so there is an end to it."""
    return 2 * -(-num_bytes // CHUNK_BYTES) + 1


class Assembler:
    """Puts chunks back together, in their order, each byte once.

    Args:
        target: C-contiguous; overwritten.
    """

    def __init__(self, target: Array) -> None:
        self._raw = target.view(np.uint8)
        self._filled = 0

    def add(self, offset: int, data: memoryview) -> None:
        """Take the next chunk. Raises `ProtocolError` for any other; nothing is written outside of the target."""
        end = self._filled + data.nbytes
        if offset != self._filled or end > self._raw.size:
            raise ProtocolError(
                f"Expected the chunk at byte {self._filled} of {self._raw.size}. "
                f"Received: {data.nbytes} bytes at {offset}."
            )
        self._raw[self._filled : end] = data
        self._filled = end

    def finish(self) -> None:
        """Raise `ProtocolError` unless every byte has come."""
        if self._filled != self._raw.size:
            raise ProtocolError(f"Expected {self._raw.size} bytes. Received: {self._filled}.")


def answer_message(answer: CallAnswer, summary: str) -> pb.Answer:
    """The message of an answer to a worker."""
    outcome, lease = answer.outcome, answer.lease
    message = pb.Answer(
        decision=_DECISIONS[outcome.decision],
        staleness=outcome.staleness,
        factor=outcome.factor,
        why=outcome.why,
        version=answer.version,
        has_lease=lease is not None,
        totals=answer.totals.tolist(),
        summary=summary,
        undone=[pb.Span(pass_index=index, begin=part.begin, end=part.end) for index, part in answer.undone],
        start=answer.start,
    )
    if lease is not None:
        message.lease, message.pass_index = lease.number, lease.span.pass_index
        message.begin, message.end = lease.span.range
    return message


def lease_of(message: pb.Answer) -> Lease | None:
    """The next lease, from an answer; None if the phase is over."""
    if not message.has_lease:
        return None
    return Lease(message.lease, Positions(message.pass_index, Range(message.begin, message.end)))


def undone_of(message: pb.Answer) -> list[Positions]:
    """The positions that no update has taken yet."""
    return [Positions(span.pass_index, Range(span.begin, span.end)) for span in message.undone]


def push_message(push: PushId) -> pb.PushId:
    """A push by name."""
    return pb.PushId(worker=push.worker, incarnation=push.incarnation, sequence=push.sequence)


def push_of(message: pb.PushId) -> PushId:
    """A push by name."""
    return PushId(message.worker, message.incarnation, message.sequence)


def push_request(push: PushId, call: int, message: pb.Push) -> PushRequest:
    """The push that a message brings."""
    return PushRequest(
        push,
        call,
        message.phase,
        message.lease,
        message.version,
        np.array(message.sums),
        message.skip,
        message.learning_rate if message.HasField("learning_rate") else None,
        message.seconds,
    )


def entry_message(entry: Entry) -> pb.FollowReply:
    """An entry of the log."""
    if isinstance(entry, Apply):
        pushes = [push_message(push) for push in entry.pushes]
        apply = pb.Apply(
            pushes=pushes, scale=entry.scale, learning_rate=entry.learning_rate, version=entry.version
        )
        return pb.FollowReply(apply=apply)
    if isinstance(entry, Discard):
        return pb.FollowReply(discard=push_message(entry.push))
    if isinstance(entry, Keep):
        return pb.FollowReply(keep=push_message(entry.push))
    if isinstance(entry, Install):
        return pb.FollowReply(install=pb.Install(push=push_message(entry.push), version=entry.version))
    if isinstance(entry, Cut):
        return pb.FollowReply(cut=entry.number)
    return pb.FollowReply(pull=pb.Pull(**entry._asdict()))


def entry_of(message: pb.FollowReply) -> Entry:
    """An entry of the log. Raises `ProtocolError` for none."""
    kind = message.WhichOneof("entry")
    if kind == "apply":
        apply = message.apply
        pushes = tuple(push_of(push) for push in apply.pushes)
        return Apply(pushes, apply.scale, apply.learning_rate, apply.version)
    if kind == "discard":
        return Discard(push_of(message.discard))
    if kind == "keep":
        return Keep(push_of(message.keep))
    if kind == "install":
        install = message.install
        return Install(push_of(install.push), install.version if install.HasField("version") else None)
    if kind == "pull":
        pull = message.pull
        return Pull(pull.worker, pull.call, pull.version, pull.state)
    if kind == "cut":
        return Cut(message.cut)
    raise ProtocolError("Expected an entry of the log. Received: nothing.")
