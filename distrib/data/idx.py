"""IDX: the file format of MNIST and its like (Y. LeCun, "The MNIST database").

Two zero bytes, a dtype code, the number of axes, one big-endian uint32 an axis, then the elements, big-endian.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import DataError

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_AXES = 8
_MAX_BYTES = 1 << 32


def read_idx(path: str | Path) -> Array:
    """The array in an IDX file, plain or gzipped, in native byte order.

    Sizes are checked before memory is taken: a file that declares more than it holds, or more than 4 GiB, is
    refused, and never more than the declared bytes are decompressed.

    Raises:
        DataError: not an IDX file, cut short, or with bytes left over.
        OSError: the file cannot be read.
    """
    path = Path(path)
    with path.open("rb") as probe:
        compressed = probe.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path, "rb") if compressed else path.open("rb") as file:
            head = file.read(4)
            if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _DTYPES or head[3] > _MAX_AXES:
                raise DataError(f"{path} is not an IDX file: it begins with {head!r}.")
            num_axes = head[3]
            sizes = file.read(4 * num_axes)
            if len(sizes) < 4 * num_axes:
                raise DataError(f"{path} is cut short within its header.")
            shape = struct.unpack(f">{num_axes}I", sizes)
            dtype = np.dtype(_DTYPES[head[2]])
            num_bytes = math.prod(shape) * dtype.itemsize
            # an axis of 0 makes no sizes of the others good
            if math.prod(filter(None, shape)) * dtype.itemsize > _MAX_BYTES:
                raise DataError(
                    f"{path} declares {num_bytes} bytes, shape {shape}; at most {_MAX_BYTES} are read."
                )
            data = _read_exactly(file, num_bytes)
            if len(data) != num_bytes or file.read(1):
                more = "more" if len(data) == num_bytes else f"{len(data)}"
                raise DataError(
                    f"{path} declares {num_bytes} bytes of elements, shape {shape}. Found: {more}."
                )
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}") from None
    array: Array = np.frombuffer(data, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def _read_exactly(file: object, num_bytes: int) -> bytes:
    """Up to `num_bytes`, read in pieces, so that a lying header does not take memory the file cannot fill."""
    pieces = []
    missing = num_bytes
    while missing:
        piece = file.read(min(missing, 1 << 20))  # type: ignore[attr-defined]
        if not piece:
            break
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)
