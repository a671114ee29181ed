"""Messages as `ps/wire/framing.py` writes and reads them, beside protobuf itself."""

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.wire import framing
from distrib.ps.wire.framing import Frame

numbers = st.integers(0, 2**64 - 1)
chunks = st.tuples(numbers, st.binary(min_size=1, max_size=300))
requests = st.builds(
    lambda call, lease, sums, last: pb.WorkRequest(
        call=call, push=pb.Push(lease=lease, sums=sums), last=last
    ),
    numbers,
    numbers,
    st.lists(st.floats(allow_nan=False), max_size=5),
    st.booleans(),
)


@given(requests, st.none() | chunks)
@settings(max_examples=200, deadline=None)
def test_what_is_written_protobuf_reads_and_the_other_way_round(head, chunk):
    whole = pb.WorkRequest()
    whole.CopyFrom(head)
    if chunk is not None:
        whole.chunk.offset, whole.chunk.data = chunk
    offset, data = chunk or (0, b"")
    written = framing.write_request(Frame(head, offset, memoryview(data)))
    assert pb.WorkRequest.FromString(written) == whole
    for raw in (written, whole.SerializeToString()):
        assert framing.read_request(raw) == Frame(head, offset, memoryview(data))


def test_a_view_of_any_vector_is_written():
    vector = np.arange(8, dtype=np.float64)[2:6]
    raw = framing.write_reply(Frame(pb.WorkReply(call=3), 16, vector.view(np.uint8).data))
    assert pb.WorkReply.FromString(raw).chunk.data == vector.tobytes()


def test_of_a_number_of_more_than_64_bits_the_rest_is_forgotten():
    chunk = b"\x08" + b"\x85" + b"\x80" * 8 + b"\x02" + b"\x12\x01a"  # offset 5 + 2^64
    raw = b"\x32" + bytes([len(chunk)]) + chunk
    expected = pb.WorkRequest.FromString(raw).chunk
    frame = framing.read_request(raw)
    assert (frame.offset, bytes(frame.data)) == (expected.offset, expected.data) == (5, b"a")


@given(requests, chunks, st.data())
@settings(max_examples=500, deadline=None)
def test_what_is_no_message_is_refused_and_nothing_else_is_read_than_protobuf_reads(head, chunk, data):
    raw = bytearray(framing.write_request(Frame(head, chunk[0], memoryview(chunk[1]))))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    try:
        frame = framing.read_request(bytes(raw))
    except (ValueError, DecodeError):
        return
    try:
        expected = pb.WorkRequest.FromString(bytes(raw))
    except DecodeError:
        return  # of the bytes of the chunk we look at what we need only
    assert (frame.offset, bytes(frame.data)) == (expected.chunk.offset, expected.chunk.data)
    expected.ClearField("chunk")
    assert frame.head.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x32\x05\x12\x01a",  # a chunk that is longer than its message
        b"\x32\x03\x12\x05a",  # data that is longer than its chunk
        b"\x80" * 11,
        b"\x33",
        b"\x32\x03\x12\x01a" * 2,
    ],
)
def test_what_cannot_be_right_is_refused(raw):
    with pytest.raises(ValueError, match="Expected"):
        framing.read_request(raw)
