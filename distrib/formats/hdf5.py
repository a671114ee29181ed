"""HDF5 files as trees of groups, in memory. Needs h5py, the extra `h5`.

Files are read by another process, `hdf5_reader.py`, which says why.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, StorageError
from distrib.base.parse_json import parse_json

_READER = str(Path(__file__).with_name("hdf5_reader.py"))
_TIMEOUT_S = 600.0
_MAX_HEADER_BYTES = 64_512
"""HDF5 keeps an attribute in one header."""


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
        raise ConfigError("Files of Keras need h5py, which is not installed. Run: pip install h5py.")


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
    try:
        done = subprocess.run(
            [sys.executable, "-P", _READER],
            input=content,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired, MemoryError) as error:
        raise StorageError(f"{name} cannot be read: {error}") from None
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip()[-200:]
        raise StorageError(f"{name} is damaged: the process that read it ended with {done.returncode}. {why}")
    try:
        return _tree(memoryview(done.stdout))
    except StorageError as error:
        raise StorageError(f"{name}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise StorageError(f"{name} is damaged: {error}") from None


def _tree(output: memoryview) -> Group:
    """What the reader has written."""
    size = int.from_bytes(output[:8], "little")
    described = parse_json(bytes(output[8 : 8 + size]))
    if "refused" in described:
        raise StorageError(str(described["refused"]))
    rest = [output[8 + size :]]

    def array(dtype: str, shape: list[int]) -> Array:
        kind = np.dtype(dtype)
        if kind.kind not in "fiub":
            raise ValueError(f"an array of {dtype}")
        num_bytes = math.prod(shape) * kind.itemsize
        if num_bytes > len(rest[0]):
            raise ValueError("it ends too early")
        found = np.frombuffer(rest[0][:num_bytes], kind).reshape(shape).copy()
        rest[0] = rest[0][num_bytes:]
        return found

    def group(value: Mapping[str, Any]) -> Group:
        # In the order in which the arrays follow: members by their names.
        found = Group(attributes=dict(value["attributes"]))
        for name in sorted([*value["datasets"], *value["groups"]]):
            if name in value["datasets"]:
                found.datasets[name] = array(*value["datasets"][name])
            else:
                found.groups[name] = group(value["groups"][name])
        return found

    return group(described)


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
