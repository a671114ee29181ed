"""What callbacks write by batch or epoch is the same after an interruption as without."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from helpers import events, mpi
from helpers.places import everywhere

import distrib
from distrib import callbacks, layers
from distrib.callbacks import BackupAndRestore

rng = np.random.default_rng(8)
X, Y = rng.normal(size=(45, 6)), rng.integers(0, 3, 45)
EPOCHS, BATCH = 4, 10
STEPS = 5


class Stopped(Exception):
    pass


class Interrupt(callbacks.Callback):
    def __init__(self, at):
        super().__init__()
        self.at, self.count = at, 0

    def on_train_batch_end(self, batch, logs=None):
        self.count += 1
        if self.count == self.at:
            raise Stopped


class Own(callbacks.Callback):
    """A user's callback: counts batches over interruptions, and notes where it was resumed."""

    def __init__(self):
        super().__init__()
        self.batches, self.resumed = [], []

    def on_train_resume(self, epoch, batch):
        self.resumed.append((epoch, batch))

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append(batch)

    def get_state(self):
        return {"batches": self.batches}

    def set_state(self, state):
        self.batches = state["batches"]


def run(folder, save_freq, interrupt_at=None, append=False):
    def body(strategy):
        model = distrib.Sequential(
            [layers.Dense(5, activation="tanh", input_shape=(6,)), layers.Dense(3, activation="softmax")],
            dtype="float64",
            seed=3,
        )
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
        own = Own()
        called = [
            callbacks.CSVLogger(folder / "log.csv", append=append),
            callbacks.TensorBoard(folder / "board", update_freq=2, histogram_freq=1),
            own,
            BackupAndRestore(folder / "backup", save_freq=save_freq),
        ]
        if interrupt_at is not None:
            called.append(Interrupt(interrupt_at))
        try:
            model.fit(
                X,
                Y,
                batch_size=BATCH,
                epochs=EPOCHS,
                verbose=0,
                callbacks=called,
                validation_data=(X[:7], Y[:7]),
            )
        except Stopped:
            pass
        return own

    return body


def written(folder):
    """The CSV file, and what TensorBoard finds but speeds: folder and tag -> all steps and values."""
    board = {}
    for path in sorted(each for each in (folder / "board").glob("*") if each.is_dir()):
        found = events.read(path)
        for tag in found.Tags()["scalars"]:
            if "second" not in tag and not tag.startswith(("comm/", "ps/")):
                board[path.name, tag] = [(each.step, each.value) for each in found.Scalars(tag)]
        for tag in found.Tags()["histograms"]:
            board[path.name, tag] = [(each.step, each.histogram_value.sum) for each in found.Histograms(tag)]
        for tag in found.Tags()["tensors"]:
            board[path.name, tag] = [each.step for each in found.Tensors(tag)]
    return (folder / "log.csv").read_text(), board


@pytest.mark.parametrize("place", ["mirrored-1", "mirrored-2", "mirrored-3", "central-2"])
@pytest.mark.parametrize("save_freq", ["epoch", 1, 3, 7])
@pytest.mark.parametrize("at", [2, 5, 8, 14])
def test_an_interruption_leaves_no_trace_in_files(tmp_path, place, save_freq, at):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
        (folder / "log.csv").write_text("of an older run\n")
    (expected_own, *_) = everywhere(place, run(whole, save_freq))
    everywhere(place, run(parts, save_freq, at))
    (own, *_) = everywhere(place, run(parts, save_freq))
    text, board = written(parts)
    expected_text, expected_board = written(whole)
    assert text == expected_text
    assert len(list(csv.reader(text.splitlines()))) == 1 + EPOCHS
    assert board == expected_board
    assert [step for step, _ in board["train", "batch_loss"]] == list(range(2, EPOCHS * STEPS + 1, 2))
    assert own.batches == expected_own.batches == list(range(STEPS)) * EPOCHS
    every = STEPS if save_freq == "epoch" else save_freq
    saved = (at - 1) // every * every  # the interruption comes before the backup of its batch
    assert own.resumed == [divmod(saved, STEPS)]


@pytest.mark.parametrize("save_freq", ["epoch", 3])
def test_a_file_that_is_appended_to_keeps_what_was_there(tmp_path, save_freq):
    place = "mirrored-1"
    everywhere(place, run(tmp_path, save_freq, append=True))
    once = (tmp_path / "log.csv").read_text()
    for at in (8, 7):
        everywhere(place, run(tmp_path, save_freq, at, append=True))
    everywhere(place, run(tmp_path, save_freq, append=True))
    header, *lines = once.splitlines()
    assert (tmp_path / "log.csv").read_text().splitlines() == [header, *lines, *lines]


PROGRAM = """
import os, signal, sys
from importlib.util import find_spec
import numpy as np, distrib
from distrib import callbacks, layers

folder, kill_at, save_freq = sys.argv[1], int(sys.argv[2]), sys.argv[3]
rng = np.random.default_rng(0)
x, y = rng.normal(size=(45, 6)), rng.integers(0, 3, 45)

class Kill(callbacks.Callback):
    count = 0
    def on_train_batch_end(self, batch, logs=None):
        self.count += 1
        if self.count == kill_at and self.model.strategy.is_chief:
            print("KILLED", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

with distrib.MirroredStrategy().scope():
    model = distrib.Sequential([layers.Dense(3, activation="softmax", input_shape=(6,))], seed=1)
    model.compile("adam", "sparse_categorical_crossentropy")
board = [callbacks.TensorBoard(f"{folder}/board", update_freq="batch")] if find_spec("tensorboardX") else []
model.fit(x, y, batch_size=10, epochs=4, verbose=0, validation_split=0.2, callbacks=[
    callbacks.CSVLogger(f"{folder}/log.csv"), *board, Kill(),
    callbacks.BackupAndRestore(f"{folder}/backup", save_freq=save_freq if save_freq == "epoch" else int(save_freq))])
print("ENDED WELL", flush=True)
"""


@pytest.mark.parametrize(("save_freq", "kill_at"), [("epoch", 1), ("epoch", 11), ("3", 2), ("3", 10)])
def test_a_kill_leaves_no_trace_in_files(tmp_path, save_freq, kill_at):
    program = tmp_path / "train.py"
    program.write_text(PROGRAM)

    def train(folder, at):
        (tmp_path / folder).mkdir(exist_ok=True)
        command = [sys.executable, program, tmp_path / folder, str(at), save_freq]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert "ENDED WELL" in train("whole", 0).stdout
    killed = train("parts", kill_at)
    assert (killed.returncode, killed.stdout) == (-9, "KILLED\n")
    assert "ENDED WELL" in train("parts", 0).stdout
    assert written(tmp_path / "parts") == written(tmp_path / "whole")


def test_a_killed_rank_leaves_no_trace_in_files(mpi_name, tmp_path):
    program = tmp_path / "train.py"
    program.write_text(PROGRAM)
    for folder in ("whole", "parts"):
        (tmp_path / folder).mkdir()
    assert "ENDED WELL" in mpi.mpirun(mpi_name, 2, program, tmp_path / "whole", 0, 3).output
    killed = mpi.mpirun(mpi_name, 2, program, tmp_path / "parts", 10, 3)
    assert killed.code != 0
    assert "KILLED" in killed.output
    assert "ENDED WELL" in mpi.mpirun(mpi_name, 2, program, tmp_path / "parts", 0, 3).output
    assert written(tmp_path / "parts") == written(tmp_path / "whole")
