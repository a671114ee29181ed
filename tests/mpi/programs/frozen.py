"""Training that saves after every step, and in which one rank stops itself: `frozen.py FOLDER VICTIM WHERE`.

WHERE is `step`, before a batch, or `save`, where all of a checkpoint is written, but not yet under its name.
"""

import os
import signal
import stat
import sys
from pathlib import Path

import numpy as np
from fault import fired

import distrib

folder, victim, where = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
strategy = distrib.MirroredStrategy()


def freeze():
    fired(f"on pid {os.getpid()}")
    os.kill(os.getpid(), signal.SIGSTOP)


def sync_and_freeze(descriptor, sync=os.fsync):
    """Once, when the folder is synced, after its files."""
    sync(descriptor)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.fsync = sync
        freeze()


class Freeze(distrib.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if strategy.replica_id == victim and batch == 7:
            if where == "save":
                os.fsync = sync_and_freeze
            else:
                freeze()


rng = np.random.default_rng(0)
x, y = rng.normal(size=(400, 8)), rng.integers(0, 3, 400)
with strategy.scope():
    model = distrib.Sequential([distrib.layers.Dense(3, activation="softmax", input_shape=(8,))])
    model.compile("adam", "sparse_categorical_crossentropy")
saving = distrib.callbacks.ModelCheckpoint(folder / "ckpt-{epoch}-{batch}", save_freq=1)
model.fit(x, y, epochs=5, batch_size=20, verbose=0, callbacks=[Freeze(), saving])
print("ENDED WELL", flush=True)
