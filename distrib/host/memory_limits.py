"""Memory limits: how much more memory this process may use before Linux kills it.

Memory that is promised and not there is no error on Linux: a process that touches it is killed without a message. Two
things bound it: what the machine has left (`MemAvailable`), and the limits of the control groups that the process is
in, which is how containers are limited (`docker run --memory`). A limit of any group up the tree counts. Page cache
that can be dropped counts as free. What cannot be read is taken for no limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_V2 = ("memory.max", "memory.current", "")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


def check_headroom(num_bytes: int, root: Path = Path("/")) -> None:
    """Raise unless that much more memory is available.

    Args:
        num_bytes: what is about to be allocated.
        root: where /proc and /sys are; tests pass others.

    Raises:
        OSError: there are not; the message says how many there are, what bounds them and what to do.
    """
    free, cause = min(_bounds(root), default=(num_bytes, ""))
    if free < num_bytes:
        raise OSError(f"{num_bytes} bytes are needed and {max(free, 0)} are free: {cause}")


def _bounds(root: Path) -> Iterator[tuple[int, str]]:
    """Each bound on what is free, in bytes, and what to say about it."""
    available = _fields(root / "proc/meminfo").get("MemAvailable")
    if available is not None:
        yield (
            available * 1024,
            "this host has no more. Free memory on it, or use fewer ranks or a smaller model",
        )
    for folder, (limit_name, used_name, prefix) in _groups(root):
        limit, used = _number(folder / limit_name), _number(folder / used_name)
        if limit is not None and used is not None:
            kinds = _fields(folder / "memory.stat")
            used -= sum(kinds.get(f"{prefix}{kind}_file", 0) for kind in ("active", "inactive"))
            limited = f"its container or control group may use {limit} and uses {used}"
            yield limit - used, f"{limited}. Raise that limit (docker run --memory)"


def _groups(root: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """The control groups for memory that this process is in, innermost first, and how their files are named."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        names = _V1 if controllers else _V2
        mounted = root / "sys/fs/cgroup" / controllers
        # A container may see only its own part of the tree, mounted as the whole, but its path from outside.
        group = mounted / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(mounted):
                yield folder, names


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []


def _fields(file: Path) -> dict[str, int]:
    """Lines such as `MemAvailable:  1234 kB` or `inactive_file 1234`."""
    fields = [line.replace(":", " ").split() for line in _lines(file)]
    return {each[0]: int(each[1]) for each in fields if len(each) > 1 and each[1].isdigit()}


def _number(file: Path) -> int | None:
    """The number in a file; None where there is none, as `max` says."""
    lines = _lines(file)
    return int(lines[0]) if lines and lines[0].isdigit() else None
