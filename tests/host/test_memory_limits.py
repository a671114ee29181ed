"""How much memory may still be used where control groups limit it, and a real limit where one can be made."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import missing

from distrib.host.memory_limits import check_headroom
from distrib.host.shared_segment import SharedSegment

MB = 1 << 20
V2 = {
    "proc/self/cgroup": "0::/job/task\n",
    "sys/fs/cgroup/job/memory.max": "500\n",
    "sys/fs/cgroup/job/memory.current": "400\n",
    "sys/fs/cgroup/job/memory.stat": "anon 300\nactive_file 20\ninactive_file 30\n",
    "sys/fs/cgroup/job/task/memory.max": "max\n",
    "sys/fs/cgroup/job/task/memory.current": "100\n",
}
V1 = {
    "proc/self/cgroup": "9:name=systemd:/\n4:memory:/job\n0::/\n",
    "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "500\n",
    "sys/fs/cgroup/memory/job/memory.usage_in_bytes": "400\n",
    "sys/fs/cgroup/memory/job/memory.stat": "cache 90\ntotal_active_file 20\ntotal_inactive_file 30\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "400\n",
}
IN_CONTAINER = {  # sees its own part of the tree, under a path from outside
    "proc/self/cgroup": "4:memory:/docker/0123\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "500\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "350\n",
}
PLENTY = {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   9 kB\n"}
LITTLE = {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   1 kB\n"}


def files(root, contents):
    for name, text in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("contents", "free", "words"),
    [
        (V2 | PLENTY, 150, "may use 500 and uses 350.*docker run --memory"),
        (V1 | PLENTY, 150, "may use 500 and uses 350.*docker run --memory"),
        (IN_CONTAINER | PLENTY, 150, "may use 500 and uses 350.*docker run --memory"),
        (LITTLE, 1024, "this host has no more"),
        (LITTLE | V2, 150, "docker run --memory"),
    ],
)
def test_the_tightest_bound_counts(tmp_path, contents, free, words):
    files(tmp_path, contents)
    check_headroom(free, tmp_path)
    with pytest.raises(OSError, match=f"{free + 1} bytes are needed and {free} are free: .*{words}"):
        check_headroom(free + 1, tmp_path)


def test_what_cannot_be_read_is_no_limit(tmp_path):
    check_headroom(1 << 60, tmp_path)
    files(tmp_path, {"proc/self/cgroup": "0::/gone\n"})
    check_headroom(1 << 60, tmp_path)


def test_more_than_this_machine_has_is_refused():
    with pytest.raises(OSError, match="bytes are needed and"):
        SharedSegment(1 << 50)


@contextmanager
def limited_to(num_bytes):
    """A control group for memory: inside that of this process (version 1), or at the top (version 2)."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    mine = [path.lstrip("/") for _, controllers, path in lines if controllers == "memory"]
    top = Path("/sys/fs/cgroup")
    parent, limit = (top / "memory" / mine[0], "memory.limit_in_bytes") if mine else (top, "memory.max")
    folder = parent / f"distrib-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError:
        missing("right to make a control group")
    try:
        if not (folder / limit).exists():
            missing("control group for memory")
        (folder / limit).write_text(str(num_bytes))
        yield folder
    finally:
        folder.rmdir()


def test_a_real_limit_is_seen_before_linux_kills():
    """Without the look before, the process that makes the segment is killed."""
    with limited_to(200 * MB) as folder:
        program = (
            f"from distrib.host.shared_segment import SharedSegment; SharedSegment({20 * MB})\n"
            "print('small: made', flush=True)\n"
            f"try: SharedSegment({300 * MB})\n"
            "except OSError as error: print(error)\n"
        )
        join = f'echo $$ > {folder}/cgroup.procs; exec "$@"'
        command = ["bash", "-c", join, "bash", sys.executable, "-c", program]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"small: made\n{300 * MB} bytes are needed and")
    assert f"may use {200 * MB} and uses" in ended.stdout
