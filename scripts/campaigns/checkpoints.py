"""Damaged checkpoints and killed writers: what is damaged is refused by name, and there is always a whole one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import distrib
import numpy as np
from distrib import layers
from distrib.io.checkpoint_folder import number_of, read_checkpoint

_ROOT = Path(__file__).parents[2]
ENVIRON = {**os.environ, "PYTHONPATH": f"{_ROOT}:{_ROOT / 'tests'}:{_ROOT / 'scripts'}"}
"""For programs that import this module or the helpers of the tests."""

SAVER = """
import sys
import numpy as np
from campaigns.checkpoints import make
from distrib.train import CheckpointManager
model = make()
manager = CheckpointManager(model, sys.argv[1], max_to_keep=2)
manager.restore_or_initialize()
print("SAVING", flush=True)
while True:
    model.optimizer.iterations += 1
    model.set_weights([np.full(each.shape, model.optimizer.iterations) for each in model.variables])
    print(manager.save(), model.optimizer.iterations, flush=True)
"""


def make() -> distrib.Sequential:
    """A small model, compiled."""
    model = distrib.Sequential([layers.Dense(16, input_shape=(32,)), layers.Dense(4)], seed=1)
    model.compile("adam", "mse")
    return model


def flip_bits(folder: Path, count: int, seed: int) -> tuple[int, int]:
    """Flip one bit after the other in a checkpoint, each in a whole one.

    Returns:
        How many were refused by the name of the file, and how many changed nothing that was read.
    """
    manager = distrib.train.CheckpointManager(make(), folder)
    path = Path(manager.save())
    whole = read_checkpoint(path)
    draw = random.Random(seed)
    files = sorted(path.iterdir())
    refused = harmless = 0
    for number in range(count):
        file = files[number % len(files)]
        data = bytearray(good := file.read_bytes())
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        file.write_bytes(data)
        try:
            found = read_checkpoint(path)
        except distrib.StorageError as error:
            refused += str(file) in str(error)
        else:
            assert found[1] == whole[1], f"a flipped bit in {file} was not noticed"
            for name, arrays in whole[0].items():
                for key, array in arrays.items():
                    assert found[0][name][key].tobytes() == array.tobytes()
            harmless += 1
        file.write_bytes(good)
    assert refused + harmless == count, "an error does not name the file"
    return refused, harmless


def kill_savers(folder: Path, count: int, seed: int) -> int:
    """Kill a process that saves in a loop, again and again, at random moments.

    What it has said to be saved, and nothing older, must be what is found.

    Returns:
        How many were killed while they wrote: what they had not finished was there.
    """
    draw = random.Random(seed)
    torn = 0
    for _ in range(count):
        command = [sys.executable, "-c", SAVER, str(folder)]
        saver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRON)
        assert saver.stdout is not None
        assert saver.stdout.readline() == "SAVING\n"
        first = [saver.stdout.readline() for _ in range(draw.randrange(3))]
        time.sleep(draw.uniform(0.0, 0.02))
        saver.send_signal(signal.SIGKILL)
        lines = [*first, *saver.stdout.read().splitlines(keepends=True)]
        said = [line.split() for line in lines if line.endswith("\n")]
        saver.stdout.close()
        assert saver.wait(10) == -signal.SIGKILL
        torn += any(path.name.startswith(".writing-") for path in folder.iterdir()) if folder.exists() else 0
        latest = distrib.train.latest_checkpoint(folder)
        if said:
            assert latest is not None
            assert number_of(Path(latest)) >= number_of(Path(said[-1][0]))
        if latest is not None:
            model = make()
            assert distrib.train.CheckpointManager(model, folder).restore_or_initialize() == latest
            steps = {float(each) for weight in model.get_weights() for each in np.unique(weight)}
            assert steps == {float(model.optimizer.iterations)}, "values of several steps"
            assert not said or model.optimizer.iterations >= int(said[-1][1])
    return torn
