"""The header of every message: what the sender thinks is going on.

MPI returns success and garbage when ranks disagree on the order, operation, dtype or length of a collective. So
each of our messages begins with these 64 bytes, which are the same on all ranks of one collective; a receiver
compares them with its own before it takes the payload. Behind them ride up to `MAX_SCALARS` float64.

    magic 4 | version 1 | operation 1 | reduce op 1 | dtype 1 | job 8 | sequence 8 | elements 8 | model 8 |
    root 4 | num scalars 4 | shared 1 | crc32 of these 4 | zero 11
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from distrib.comm.reduce_op import ReduceOp

_FORMAT = struct.Struct("<4sBBBB8sQQ8sII?")
_CRC = struct.Struct("<I")
_MAGIC = b"dstb"
_VERSION = 1

HEADER_BYTES = 64
MAX_SCALARS = 8 * 1024
"""How many float64 may ride behind a header."""

MAX_MESSAGE_BYTES = HEADER_BYTES + 8 * MAX_SCALARS

_DTYPES = (
    *("uint8", "int8", "int16", "int32", "int64", "float16"),
    *("float32", "float64", "bool", "uint16", "uint32", "uint64"),
)
_NAMES = {np.dtype(name): name for name in _DTYPES}
_OPS = tuple(ReduceOp)


class Operation(IntEnum):
    """The collectives."""

    REDUCE_SCATTER = 1
    ALL_GATHER = 2
    GATHER_SCALARS = 3
    GATHER_BYTES = 4
    BROADCAST = 5
    ALL_REDUCE = 6
    BARRIER = 7
    REDUCE_SCATTER_FLOAT16 = 8


class Header(NamedTuple):
    """What one rank thinks is going on.

    Attributes:
        operation: the collective.
        op: how values are combined; SUM where nothing is.
        dtype: name of the vector's dtype.
        job: 8 random bytes that all ranks of one job share.
        sequence: number of collectives before this one.
        elements: length of the vector.
        model: 8 bytes that stand for model, optimizer and data; zeros before training.
        root: rank that broadcasts; 0 elsewhere.
        num_scalars: number of float64 that ride behind the header.
        shared: whether the vector lies in shared memory.
    """

    operation: Operation
    op: ReduceOp
    dtype: str
    job: bytes
    sequence: int
    elements: int
    model: bytes
    root: int
    num_scalars: int
    shared: bool = False

    def pack(self) -> bytes:
        """The 64 bytes on the wire."""
        body = _FORMAT.pack(
            _MAGIC,
            _VERSION,
            self.operation,
            _OPS.index(self.op),
            _DTYPES.index(self.dtype),
            self.job,
            self.sequence,
            self.elements,
            self.model,
            self.root,
            self.num_scalars,
            self.shared,
        )
        return (body + _CRC.pack(zlib.crc32(body))).ljust(HEADER_BYTES, b"\0")

    def __str__(self) -> str:
        bare = self.operation in (Operation.GATHER_SCALARS, Operation.BARRIER)
        vector = "" if bare else f" {self.dtype}[{self.elements}]"
        reduces = self.operation in (Operation.REDUCE_SCATTER, Operation.ALL_REDUCE)
        reduce = f" {self.op.value}" if reduces else ""
        root = f" root={self.root}" if self.operation is Operation.BROADCAST else ""
        return f"{self.operation.name.lower()} #{self.sequence}{vector}{reduce}{root}"


def difference(expected: Header, received: bytes) -> str:
    """Why `received` is not `expected`, for an error message."""
    body, crc = received[: _FORMAT.size], received[_FORMAT.size : _FORMAT.size + _CRC.size]
    if crc != _CRC.pack(zlib.crc32(body)):
        return "the header is corrupted (checksum mismatch), or the bytes are not a message of this program"
    magic, version, operation, op, dtype, job, sequence, elements, model, root, scalars, shared = (
        _FORMAT.unpack(body)
    )
    if (magic, version) != (_MAGIC, _VERSION):
        return f"the peer speaks protocol {magic!r} version {version}, this process {_MAGIC!r} version {_VERSION}"
    theirs = Header(
        Operation(operation), _OPS[op], _DTYPES[dtype], job, sequence, elements, model, root, scalars, shared
    )
    if theirs.job != expected.job:
        return (
            f"job id mismatch: the message is from job {theirs.job.hex()}, this is job {expected.job.hex()}"
        )
    fields = [name for name, a, b in zip(Header._fields, expected, theirs, strict=True) if a != b]
    return f"this rank is in {expected}, the peer in {theirs} (they differ in {', '.join(fields)})"


def dtype_name(dtype: np.dtype[np.generic]) -> str:
    """The dtype's name on the wire. Raises `TypeError` for dtypes that cannot be sent."""
    name = _NAMES.get(dtype)
    if name is None:
        raise TypeError(f"Expected a numeric array of native byte order. Received: dtype {dtype}.")
    return name
