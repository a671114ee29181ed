"""Reads an HDF5 file, as a program of its own: from standard input, to standard output.

    python -P hdf5_reader.py < model.weights.h5 > tree

The HDF5 library is written in C, and a file that is damaged in the right place ends its process (seen: a segmentation
fault for one in about a thousand files with one changed byte). So the process that trains does not read such files by
itself: it starts this one, and treats what comes back as it would treat a file.

What Keras writes is plain: groups, datasets in one piece without filters, attributes of text and numbers. Nothing
else is read: no links to other files, no data outside of the file, no compression that could unfold to more than
there is memory. Sizes are compared with that of the file before memory is taken.

The output is eight bytes, the length of a JSON text; the text; and the bytes of all arrays, one after the other. The
text describes a group: `attributes`, `groups` and `datasets`, whose arrays are given as dtype and shape. They follow
in the order of a walk through the members of each group by their names. Or the text is `{"refused": why}`.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

_MAX_DEPTH = 32
_MAX_OBJECTS = 100_000
_MAX_ATTRIBUTE_ELEMENTS = 1_000_000
_KINDS = "fiub"  # of NumPy's dtypes: floats, ints, bool


class RefusedError(Exception):
    """There is something that Keras does not write."""


class Reader:
    """Reads one file.

    Args:
        h5py: the library.
        num_bytes: size of the file.

    Attributes:
        arrays: those found so far.
    """

    def __init__(self, h5py: Any, num_bytes: int) -> None:
        self._h5py, self._left, self._num_objects = h5py, num_bytes, 0
        self.arrays: list[Any] = []

    def read(self, group: Any, depth: int = 0) -> dict[str, Any]:
        """The description of a group. Raises `RefusedError`, and what the library raises."""
        if depth > _MAX_DEPTH:
            raise RefusedError(f"Groups lie in one another, more than {_MAX_DEPTH} deep.")
        found: dict[str, Any] = {"groups": {}, "datasets": {}}
        found["attributes"] = {key: self._attribute(group, key) for key in group.attrs}
        for name in sorted(group):
            self._num_objects += 1
            if self._num_objects > _MAX_OBJECTS:
                raise RefusedError(f"There are more than {_MAX_OBJECTS} groups and arrays.")
            if not isinstance(group.get(name, getlink=True), self._h5py.HardLink):
                raise RefusedError(f"{name} is a link to somewhere else.")
            member = group[name]
            if isinstance(member, self._h5py.Group):
                found["groups"][name] = self.read(member, depth + 1)
            elif isinstance(member, self._h5py.Dataset):
                found["datasets"][name] = self._array(member)
            else:
                raise RefusedError(f"{name} is neither a group nor an array.")
        return found

    def _attribute(self, group: Any, key: str) -> Any:
        identifier = group.attrs.get_id(key)
        if math.prod(identifier.shape) > _MAX_ATTRIBUTE_ELEMENTS:
            raise RefusedError(f"The attribute {key} is too large.")
        value = group.attrs[key]
        value = value.tolist() if hasattr(value, "tolist") else value
        return [_text(each) for each in value] if isinstance(value, list) else _text(value)

    def _array(self, dataset: Any) -> list[Any]:
        plist, layouts = dataset.id.get_create_plist(), self._h5py.h5d
        if plist.get_layout() not in (layouts.CONTIGUOUS, layouts.COMPACT) or plist.get_external_count():
            raise RefusedError(f"{dataset.name} does not lie in one piece in the file.")
        if dataset.shape is None or dataset.dtype.kind not in _KINDS or dataset.dtype.itemsize > 8:
            raise RefusedError(f"{dataset.name} is no array of numbers.")
        self._left -= math.prod(dataset.shape) * dataset.dtype.itemsize
        if self._left < 0:
            raise RefusedError(f"{dataset.name} is larger than the file.")
        self.arrays.append(dataset[()])
        return [dataset.dtype.str, list(dataset.shape)]


def _text(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else value


def main() -> None:
    """Read standard input."""
    import h5py

    content, arrays = sys.stdin.buffer.read(), []
    try:
        with h5py.File(h5py.h5f.open_file_image(content)) as file:
            reader = Reader(h5py, len(content))
            tree, arrays = reader.read(file), reader.arrays
        header = json.dumps(tree).encode()
    except RefusedError as error:
        header = json.dumps({"refused": str(error)}).encode()
    except Exception as error:  # whatever the library makes of a damaged file
        header = json.dumps({"refused": f"It is damaged, or no HDF5 file: {error}"}).encode()
        arrays = []
    out = sys.stdout.buffer
    out.write(len(header).to_bytes(8, "little"))
    out.write(header)
    for array in arrays:
        out.write(array.tobytes())
    out.flush()


if __name__ == "__main__":
    main()
