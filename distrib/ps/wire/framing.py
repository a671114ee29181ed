"""Framing: serializes messages of a worker's stream in protobuf's format, without copying vectors.

Through protobuf a chunk of a vector is copied when it is set, when the message is written, when it is read, and when
the chunk is taken out of it. Here it is copied once into the bytes that gRPC sends, and once out of those that it has
received. All else of a message, its head, is left to protobuf. Any protobuf library reads what is written here, and
what it writes is read here. Format: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from google.protobuf.message import Message

from distrib.proto import parameter_server_pb2 as pb

Head = TypeVar("Head", bound=Message)

SERVICE = pb.DESCRIPTOR.services_by_name["ParameterServer"].full_name
WORK = f"/{SERVICE}/Work"

_VARINT, _LEN = 0, 2
_FIXED = {1: 8, 5: 4}
_64_BITS = (1 << 64) - 1
_OFFSET = pb.Chunk.OFFSET_FIELD_NUMBER, _VARINT
_DATA = pb.Chunk.DATA_FIELD_NUMBER, _LEN


class Frame(NamedTuple, Generic[Head]):
    """A message.

    Attributes:
        head: all of it but the chunk.
        offset: where the chunk begins, in bytes.
        data: the chunk; empty for none. Where it is sent it may be a view, and must not change until it is answered.
    """

    head: Head
    offset: int = 0
    data: memoryview = memoryview(b"")


def writer(chunk_number: int) -> Callable[[Frame[Head]], bytes]:
    """A serializer of messages whose chunk has that field number."""
    chunk_key, offset_key, data_key = map(_key, ((chunk_number, _LEN), _OFFSET, _DATA))

    def write(frame: Frame[Head]) -> bytes:
        """The bytes of a message."""
        head: bytes = frame.head.SerializeToString()
        if not frame.data:
            return head
        size = frame.data.nbytes
        begin = offset_key + _varint(frame.offset) + data_key + _varint(size)
        return b"".join((head, chunk_key, _varint(len(begin) + size), begin, frame.data))

    return write


def reader(kind: type[Head], chunk_number: int) -> Callable[[bytes], Frame[Head]]:
    """A parser of such messages; raises `ValueError`, or protobuf's `DecodeError`, for others."""
    chunk_field = chunk_number, _LEN

    def read(raw: bytes) -> Frame[Head]:
        """The message that these bytes are; its chunk is a view of them."""
        chunks = [each for each in _fields(raw, 0, len(raw)) if each[1] == chunk_field]
        if not chunks:
            return Frame(kind.FromString(raw))
        if len(chunks) > 1:
            raise ValueError("Expected one chunk in a message. Received: several.")
        begin, _, body, end = chunks[0]
        offset, data = 0, memoryview(b"")
        for _, field, inner, inner_end in _fields(raw, body, end):
            if field == _OFFSET:
                offset = _varint_at(raw, inner)[0]
            elif field == _DATA:
                data = memoryview(raw)[inner:inner_end]
        return Frame(kind.FromString(raw[:begin] + raw[end:]), offset, data)

    return read


def _fields(raw: bytes, at: int, end: int) -> list[tuple[int, tuple[int, int], int, int]]:
    """Every field from `at` to `end`: where it begins, its number and type, and where its value begins and ends."""
    found = []
    while at < end:
        begin = at
        key, at = (raw[at], at + 1) if raw[at] < 0x80 else _varint_at(raw, at)  # nearly all are one byte
        body, kind = at, key & 7
        if kind == _LEN:
            size, body = (raw[at], at + 1) if at < end and raw[at] < 0x80 else _varint_at(raw, at)
            at = body + size
        elif kind == _VARINT:
            at = at + 1 if at < end and raw[at] < 0x80 else _varint_at(raw, at)[1]
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            raise ValueError(f"Expected a field of a message. Received: one of type {kind}.")
        if at > end:
            raise ValueError(f"Expected a message of {end} bytes. Received: a field that ends at {at}.")
        found.append((begin, (key >> 3, kind), body, at))
    return found


def _varint_at(raw: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(raw):
            break
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _64_BITS, at  # protobuf forgets the rest, too
    raise ValueError("Expected a number. Received: the end of the message, or more than 64 bits.")


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _key(field: tuple[int, int]) -> bytes:
    return _varint(field[0] << 3 | field[1])


write_request = writer(pb.WorkRequest.CHUNK_FIELD_NUMBER)
read_request = reader(pb.WorkRequest, pb.WorkRequest.CHUNK_FIELD_NUMBER)
write_reply = writer(pb.WorkReply.CHUNK_FIELD_NUMBER)
read_reply = reader(pb.WorkReply, pb.WorkReply.CHUNK_FIELD_NUMBER)
