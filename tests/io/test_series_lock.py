"""One writer at a time: rows E13 and D3 for a folder of checkpoints."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from campaigns.checkpoints import make
from helpers.savers import chief, saved, until_stopped

import distrib
from distrib.io import series_lock
from distrib.io.checkpoint_folder import checkpoints, number_of, read_checkpoint
from distrib.train import CheckpointManager

SLOWER_S = 2.0  # on a loaded machine


def written(folder):
    """Number and inode of every checkpoint, and which process has written it."""
    return {
        (number_of(path), path.stat().st_ino): read_checkpoint(path)[1]["model"]["name"]
        for path in checkpoints(folder, "ckpt")
    }


def of_old(folder):
    """Those of the one that was stopped; the other may have replaced some."""
    return {number: inode for (number, inode), writer in written(folder).items() if writer == "old"}


@pytest.mark.parametrize("run", ["", "one"])
def test_e13_a_chief_that_was_replaced_while_it_was_stopped_saves_nothing_any_more(tmp_path, run):
    with ExitStack() as held:
        old = held.enter_context(chief(tmp_path, "old", run))
        saved(old, 5)
        old.send_signal(signal.SIGSTOP)
        until_stopped(old.pid)
        new = held.enter_context(chief(tmp_path, "new", run))
        saved(new, 3)
        before, woken = of_old(tmp_path), time.monotonic()
        old.send_signal(signal.SIGCONT)
        _, said = old.communicate(timeout=20)
        assert time.monotonic() - woken < 1 + SLOWER_S
        assert old.returncode == 75, said
        assert re.search(
            rf"another process \(pid {new.pid} on \S+.* writes '\S+' now, because this one was", said
        )
        saved(new, 3)
        new.send_signal(signal.SIGKILL)
        _, said = new.communicate(timeout=10)
        assert f"takes the place of pid {old.pid} on " in said
    writers = [writer for _, writer in sorted(written(tmp_path).items())]
    assert writers[-1] == "new"
    assert {folder: inode for folder, inode in of_old(tmp_path).items() if before.get(folder) != inode} == {}
    assert before, "it had saved"
    for folder in checkpoints(tmp_path, "ckpt"):
        read_checkpoint(folder)  # every one is whole


@pytest.mark.parametrize("runs", [("", ""), ("one", "two")])
def test_a_second_run_is_refused_by_name_and_a_killed_one_is_not_in_the_way(tmp_path, runs):
    with chief(tmp_path, "first", runs[0]) as first:
        saved(first, 2)
        with chief(tmp_path, "second", runs[1]) as second:
            begin = time.monotonic()
            _, said = second.communicate(timeout=20)
            assert time.monotonic() - begin < 5 + SLOWER_S
            assert second.returncode == 74
            assert f"{tmp_path}: another run (pid {first.pid} on " in said
            assert "choose another folder" in said
        saved(first, 2)
        first.kill()
        first.wait()
    assert (tmp_path / ".ckpt.owner").exists(), "it had no time to remove it"
    with chief(tmp_path, "second", runs[1], launcher=False) as third:
        saved(third, 2)


def test_a_manager_owns_its_folder_while_it_lives(tmp_path):
    manager, other = CheckpointManager(make(), tmp_path), CheckpointManager(make(), tmp_path)
    manager.save()
    other.save()  # parts of one process write together
    said = json.loads((tmp_path / ".ckpt.owner").read_text())
    assert said["pid"] == os.getpid()
    del manager
    other.save()
    del other
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "ckpt-1", "ckpt-2", "ckpt-3"]


def test_what_was_written_before_the_other_came_gets_no_name(tmp_path):
    """Replaced at the last moment: all is written and confirmed, and the rename is next."""
    manager = CheckpointManager(make(), tmp_path)
    manager.save()
    mine = series_lock.owned[tmp_path / ".ckpt.owner"]

    def replace():
        temporary = next(tmp_path.glob(".writing-*-ckpt-2"))
        (tmp_path / "new").write_text("{}")
        (tmp_path / "new").rename(tmp_path / ".ckpt.owner")
        for path in temporary.iterdir():
            path.unlink()
        temporary.rmdir()

    mine.confirm = lambda confirm=mine.confirm: (
        confirm() if not list(tmp_path.glob(".writing-*")) else replace()
    )
    with pytest.raises(distrib.PeerLostError, match=r"another process .* writes 'ckpt' now"):
        manager.save()
    assert [path.name for path in checkpoints(tmp_path, "ckpt")] == ["ckpt-1"]
    assert (tmp_path / ".ckpt.owner").read_text() == "{}", "what is not its own stays"


@pytest.mark.parametrize("content", ["", "nonsense", "[]", '{"pid": "../1", "host": 5}'])
def test_a_file_that_says_nothing_is_no_owner(tmp_path, content):
    (tmp_path / ".ckpt.owner").write_text(content)
    assert CheckpointManager(make(), tmp_path).save()


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("x")
    (tmp_path / ".ckpt.owner").symlink_to(tmp_path / "precious")
    with pytest.raises(distrib.StorageError, match="owner cannot be written"):
        CheckpointManager(make(), tmp_path).save()
    assert (tmp_path / "precious").read_text() == "x"


FORKS = """
import os, sys, time
from pathlib import Path
from distrib.io.series_lock import own
own(Path(sys.argv[1]), "ckpt", "")
if os.fork() == 0:
    print("FORKED", os.getpid(), flush=True)
    time.sleep(60)
os._exit(0)  # the owner ends, and its child holds the lock
"""


def test_an_owner_that_is_dead_is_replaced_while_its_child_holds_the_lock(tmp_path, caplog):
    parent = subprocess.Popen([sys.executable, "-c", FORKS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline().split()[-1])
    try:
        assert parent.wait(10) == 0
        assert Path(f"/proc/{child}").exists()
        with (tmp_path / ".ckpt.owner").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = series_lock.own(tmp_path, "ckpt", "")
        mine.confirm()
        mine.release()
        assert f"takes the place of pid {parent.pid}" in caplog.text
    finally:
        os.kill(child, signal.SIGKILL)
        parent.stdout.close()


def test_a_dead_owner_of_other_pids_is_not_taken_for_dead(tmp_path):
    """Such as one in another container with the same host name."""
    parent = subprocess.Popen([sys.executable, "-c", FORKS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline().split()[-1])
    try:
        parent.wait(10)
        file = tmp_path / ".ckpt.owner"
        file.write_text(json.dumps({**json.loads(file.read_text()), "pids": "pid:[1]"}))
        with pytest.raises(distrib.StorageError, match="another run"):
            series_lock.own(tmp_path, "ckpt", "")
    finally:
        os.kill(child, signal.SIGKILL)
        parent.stdout.close()
