"""HDF5 files as trees of groups, in memory. Needs h5py, the extra `h5`.

What Keras writes is plain: groups, datasets in one piece without filters, attributes of text and numbers. Nothing
else is read: no links to other files, no data outside of the file, no compression that could unfold to more than
there is memory. Sizes are compared with that of the file before memory is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, StorageError

_MAX_DEPTH = 32
_MAX_OBJECTS = 100_000
_MAX_ATTRIBUTE_ELEMENTS = 1_000_000
_MAX_HEADER_BYTES = 64_512
"""HDF5 keeps an attribute in one header."""
_KINDS = "fiub"  # of NumPy's dtypes: floats, ints, bool


@dataclass
class Group:
    """A group.

    Attributes:
        attributes: by name: text, numbers, or lists of texts.
        groups: by name.
        datasets: arrays by name.
    """

    attributes: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    datasets: dict[str, Array] = field(default_factory=dict)

    def group(self, path: str) -> Group:
        """The group at a path such as `"layers/dense"`, made where there is none."""
        found = self
        for name in path.split("/"):
            found = found.groups.setdefault(name, Group())
        return found

    def find(self, path: str) -> Group:
        """The group at a path; an empty one where there is none."""
        found = self
        for name in path.split("/"):
            found = found.groups.get(name, Group())
        return found

    def arrays(self) -> Iterator[Array]:
        """All arrays in it and in its groups."""
        yield from self.datasets.values()
        for each in self.groups.values():
            yield from each.arrays()


def check_installed() -> None:
    """Raise `ConfigError` where h5py is not installed."""
    if find_spec("h5py") is None:
        raise ConfigError("Files of Keras need h5py. Install it with: pip install 'distrib[h5]'.")


def read_hdf5(content: bytes, name: str) -> Group:
    """The tree of a file.

    Args:
        content: of the file.
        name: of the file, for errors.

    Raises:
        StorageError: it is damaged, or has what Keras does not write.
        ConfigError: h5py is not installed.
    """
    check_installed()
    import h5py

    try:
        with h5py.File(h5py.h5f.open_file_image(content)) as file:
            return _Reader(h5py, len(content)).read(file, 0)
    except StorageError as error:
        raise StorageError(f"{name}: {error}") from None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, MemoryError, OverflowError) as error:
        raise StorageError(f"{name} is damaged, or no HDF5 file: {error}") from None


class _Reader:
    """Reads one file.

    Args:
        h5py: the library.
        num_bytes: size of the file.
    """

    def __init__(self, h5py: Any, num_bytes: int) -> None:
        self._h5py, self._left, self._num_objects = h5py, num_bytes, 0

    def read(self, group: Any, depth: int) -> Group:
        if depth > _MAX_DEPTH:
            raise StorageError(f"Groups lie in one another, more than {_MAX_DEPTH} deep.")
        found = Group(attributes={key: self._attribute(group, key) for key in group.attrs})
        for name in group:
            self._num_objects += 1
            if self._num_objects > _MAX_OBJECTS:
                raise StorageError(f"There are more than {_MAX_OBJECTS} groups and arrays.")
            if not isinstance(group.get(name, getlink=True), self._h5py.HardLink):
                raise StorageError(f"{name} is a link to somewhere else.")
            member = group[name]
            if isinstance(member, self._h5py.Group):
                found.groups[name] = self.read(member, depth + 1)
            elif isinstance(member, self._h5py.Dataset):
                found.datasets[name] = self._array(member)
            else:
                raise StorageError(f"{name} is neither a group nor an array.")
        return found

    def _attribute(self, group: Any, key: str) -> Any:
        identifier = group.attrs.get_id(key)
        if math.prod(identifier.shape) > _MAX_ATTRIBUTE_ELEMENTS:
            raise StorageError(f"The attribute {key} is too large.")
        value = group.attrs[key]
        if isinstance(value, np.ndarray):
            return [_text(each) for each in value.reshape(-1).tolist()]
        return _text(value.item() if isinstance(value, np.generic) else value)

    def _array(self, dataset: Any) -> Array:
        plist, layouts = dataset.id.get_create_plist(), self._h5py.h5d
        if plist.get_layout() not in (layouts.CONTIGUOUS, layouts.COMPACT) or plist.get_external_count():
            raise StorageError(f"{dataset.name} does not lie in one piece in the file.")
        if dataset.shape is None or dataset.dtype.kind not in _KINDS or dataset.dtype.itemsize > 8:
            raise StorageError(f"{dataset.name} is no array of numbers.")
        self._left -= math.prod(dataset.shape) * dataset.dtype.itemsize
        if self._left < 0:
            raise StorageError(f"{dataset.name} is larger than the file.")
        return np.asarray(dataset[()])


def _text(value: Any) -> Any:
    return value.decode("utf-8") if isinstance(value, bytes) else value


def write_hdf5(tree: Group) -> bytes:
    """The content of a file with this tree. Raises `ConfigError` where h5py is not installed."""
    check_installed()
    import h5py

    with h5py.File("tree", "w", driver="core", backing_store=False) as file:
        _write(file, tree)
        file.flush()
        content: bytes = file.id.get_file_image()
    return content


def _write(group: Any, tree: Group) -> None:
    for key, value in tree.attributes.items():
        # As Keras writes lists of texts: of a fixed length, which fits in one header where they are few.
        group.attrs[key] = (
            np.array([each.encode() for each in value], "S") if isinstance(value, list) else value
        )
    for name, array in tree.datasets.items():
        group.create_dataset(name, data=array)
    for name, member in tree.groups.items():
        _write(group.create_group(name), member)


def texts(attributes: Mapping[str, Any], key: str) -> list[str]:
    """A list of texts, which lies in `key0`, `key1`, ... where it is long.

    Raises:
        StorageError: there is none.
    """
    if key in attributes:
        return [str(each) for each in attributes[key]]
    found: list[str] = []
    number = 0
    while f"{key}{number}" in attributes:
        found += [str(each) for each in attributes[f"{key}{number}"]]
        number += 1
    if not number:
        raise StorageError(f"Expected an attribute {key}. Received: {', '.join(attributes) or 'none'}.")
    return found


def set_texts(attributes: dict[str, Any], key: str, values: Sequence[str]) -> None:
    """Write a list of texts as `texts` reads it."""
    longest = max((len(each.encode()) for each in values), default=1)
    most = max(1, _MAX_HEADER_BYTES // max(1, longest))
    if len(values) <= most:
        attributes[key] = list(values)
        return
    for number, begin in enumerate(range(0, len(values), most)):
        attributes[f"{key}{number}"] = list(values[begin : begin + most])
