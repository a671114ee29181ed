"""Folders that cannot be written to: known before the first step, on every replica (reliability row D11)."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from campaigns.checkpoints import ENVIRON
from conftest import missing
from helpers.launch import Launch
from helpers.replicas import on_replicas

import distrib
from distrib import callbacks, layers

START_S = 4.0  # of an interpreter, on a loaded machine

CALLBACKS = {
    "model": lambda folder: callbacks.ModelCheckpoint(folder / "{epoch}" / "ckpt-{epoch}"),
    "weights": lambda folder: callbacks.ModelCheckpoint(
        folder / "{epoch}.weights.safetensors", save_weights_only=True
    ),
    "backup": callbacks.BackupAndRestore,
    "board": callbacks.TensorBoard,
    "board without graph": lambda folder: callbacks.TensorBoard(folder, write_graph=False),
    "csv": lambda folder: callbacks.CSVLogger(folder / "log.csv"),
}


class Count(callbacks.Callback):
    """Of batches that were begun."""

    batches = 0

    def on_train_batch_begin(self, batch, logs=None):
        self.batches += 1


def fit(callback):
    """What `fit` has raised, after how many batches and seconds."""
    model = distrib.Sequential([layers.Dense(4, input_shape=(32,))])
    model.compile("adam", "mse")
    count, begin = Count(), time.monotonic()
    try:
        model.fit(np.ones((8, 32)), np.ones((8, 4)), batch_size=4, verbose=0, callbacks=[count, callback])
    except distrib.StorageError as error:
        return str(error), count.batches, time.monotonic() - begin
    return "", count.batches, time.monotonic() - begin


@pytest.mark.parametrize("kind", CALLBACKS)
def test_d11_a_file_where_a_folder_should_be(tmp_path, kind):
    (tmp_path / "file").touch()
    told = on_replicas(3, lambda strategy: fit(CALLBACKS[kind](tmp_path / "file")))
    for words, batches, seconds in told:
        assert words == told[0][0]
        assert str(tmp_path / "file") in words
        assert "cannot" in words
        assert "choose another" in words.lower()
        assert batches == 0
        assert seconds < 3


@pytest.mark.parametrize("kind", [kind for kind in CALLBACKS if kind != "csv"])
def test_d11_a_folder_that_is_missing_is_made(tmp_path, kind):
    words, batches, _ = fit(CALLBACKS[kind](tmp_path / "a" / "b"))
    assert (words, batches) == ("", 2)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(("tmp", "."))]


def in_mounts(*command):
    """A command in a mount namespace of its own."""
    if os.geteuid() or shutil.which("unshare") is None:
        missing("root and unshare")
    command = ["unshare", "--mount", "--propagation", "private", *map(str, command)]
    return subprocess.run(command, capture_output=True, text=True, timeout=40, env=ENVIRON)


def test_d11_read_only_and_full_file_systems(tmp_path):
    program = """
        import subprocess, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2] + "/training")
        from test_unwritable import CALLBACKS, fit
        folder = Path(sys.argv[1])
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
        (folder / "log.csv").touch()
        for state in ("writable", "full", "read-only"):
            if state == "full":
                for path in folder.rglob("*"):
                    path.is_file() and path.unlink()
                with open(folder / "ballast", "wb", buffering=0) as ballast:
                    ballast.write(bytes(1 << 21))
            if state == "read-only":
                (folder / "ballast").unlink()
                subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
            for kind, callback in CALLBACKS.items():
                words, batches, seconds = fit(callback(folder))
                print(state, kind, batches, seconds < 3, words, sep="|")
    """
    tests = Path(__file__).parents[1]
    ended = in_mounts(sys.executable, "-c", textwrap.dedent(program), tmp_path, tests)
    assert ended.returncode == 0, ended.stderr
    lines = [line.split("|") for line in ended.stdout.splitlines()]
    assert len(lines) == 3 * len(CALLBACKS)
    words_of = {"full": "are free", "read-only": "Read-only file system"}
    for state, kind, batches, is_soon, words in lines:
        assert is_soon == "True", (state, kind)
        if state == "writable":
            assert (batches, words) == ("2", ""), kind
        else:
            assert batches == "0", (state, kind)
            assert words_of[state] in words, (state, kind)
            assert str(tmp_path) in words, (state, kind)


@pytest.mark.parametrize("state", ["ro", "size=16k"])
def test_d11_the_commands_end_with_74(tmp_path, state):
    (tmp_path / "script.py").write_text("print('STARTED')")
    mount = f'mount -t tmpfs -o {state} tmpfs "$1"; shift; exec "$@"'
    logs = tmp_path / "logs"
    logs.mkdir()
    distrib_ = (sys.executable, "-m", "distrib")
    for command, flag in (
        ((*distrib_, "launch", "-n", 1, "--log-dir", logs, tmp_path / "script.py"), "--log-dir"),
        ((*distrib_, "ps", "--checkpoint-dir", logs), ""),
    ):
        begin = time.monotonic()
        ended = in_mounts("bash", "-c", mount, "bash", logs, *command)
        assert ended.returncode == 74, ended.stderr
        assert time.monotonic() - begin < START_S + 1
        assert flag in ended.stderr
        assert str(logs) in ended.stderr
        assert {"ro": "Read-only file system", "size=16k": "are free"}[state] in ended.stderr
        assert "Traceback" not in ended.stderr
        assert ended.stdout == "", "nothing was started"


def test_d11_all_ranks_of_a_job_end_with_74(tmp_path):
    (tmp_path / "file").touch()
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            import numpy as np
            import distrib
            with distrib.strategy_from_cluster().scope():
                model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(2,))])
                model.compile("sgd", "mse")
            saving = distrib.callbacks.ModelCheckpoint(sys.argv[1] + "/ckpt-{epoch}")
            speak = distrib.callbacks.LambdaCallback(on_epoch_begin=lambda *_: print("TRAINING"))
            model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0, callbacks=[saving, speak])
            """
        )
    )
    ended = Launch("-n", 2, "--tee", "--log-dir", tmp_path / "logs", script, tmp_path / "file").ended()
    assert ended.code == 74, ended.output
    assert "TRAINING" not in ended.output
    assert f"failed with exit code 74: StorageError: {tmp_path / 'file'} cannot be written to" in ended.output
    assert not ended.survivors


def test_what_only_records_is_given_up_when_the_disk_is_full(tmp_path):
    """With a warning each; training, and the callbacks that save, go on as before."""
    program = """
        import subprocess, sys, logging
        from pathlib import Path
        import numpy as np
        import distrib
        from distrib import callbacks, layers
        folder = Path(sys.argv[1])
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)

        class Fill(callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                print("EPOCH", epoch)
                if epoch == 1:
                    try:
                        with open(folder / "ballast", "wb", buffering=0) as ballast:
                            while ballast.write(bytes(1 << 12)):
                                pass
                    except OSError as error:
                        print("FULL", error)

        model = distrib.Sequential([layers.Dense(4, input_shape=(32,))])
        model.compile("adam", "mse")
        board = callbacks.TensorBoard(folder / "logs", histogram_freq=1)
        recording = [board, callbacks.CSVLogger(folder / "log.csv")]
        kept = Path(sys.argv[1] + "-backup")
        recording += [Fill(), callbacks.BackupAndRestore(kept, delete_checkpoint=False)]
        model.fit(np.ones((256, 32)), np.ones((256, 4)), batch_size=64, epochs=300, verbose=0, callbacks=recording)
        print("END")
    """
    ended = in_mounts(sys.executable, "-c", textwrap.dedent(program), tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "FULL [Errno 28]" in ended.stdout
    assert "EPOCH 299\nEND" in ended.stdout
    for name in ("TensorBoard", "CSVLogger"):
        assert ended.stderr.count(f"{name} writes no more, and training goes on:") == 1, ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("obstacle", ["full", "pipe"])
def test_a_launcher_whose_logs_cannot_be_written_goes_on(tmp_path, obstacle):
    (tmp_path / "script.py").write_text("print('y' * 2_000_000)\nprint('END')")
    logs = tmp_path / "logs"
    logs.mkdir()
    before = f"mount -t tmpfs -o size=1m tmpfs {logs}" if obstacle == "full" else f"mkfifo {logs}/chief-0.log"
    command = (sys.executable, "-m", "distrib", "launch", "-n", 1, "--log-dir", logs, tmp_path / "script.py")
    ended = in_mounts("bash", "-c", f'{before}; exec "$@"', "bash", *command)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("y\nEND\n")
    assert ended.stderr.count("chief-0.log is not written any more, and the tasks go on:") == 1, ended.stderr
    assert obstacle == "full" or (logs / "result.json").exists()
