"""Training that is saved in a folder: `resume.py FOLDER OUT [SLEEP_S]`. Rank 0 writes a digest of all to OUT.

With `SIGNAL_AT=step` in the environment, the last rank sends itself SIGTERM there; with `KILL_AT=step`, SIGKILL, in
the first start of `distrib launch`. With `SLOW_DISK_S=seconds`, the first sync of rank 0 takes that long.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

import distrib

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
pause = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
strategy = distrib.MirroredStrategy()
rng = np.random.default_rng(0)
x, y = rng.normal(size=(203, 8)), rng.integers(0, 3, 203)


def slow(descriptor, sync=os.fsync):
    os.fsync = sync
    print("FAULT FIRED", flush=True)
    time.sleep(float(os.environ["SLOW_DISK_S"]))
    sync(descriptor)


if strategy.is_chief and "SLOW_DISK_S" in os.environ:
    os.fsync = slow


class Act(distrib.callbacks.Callback):
    step = 0

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        time.sleep(pause)
        last = strategy.replica_id == strategy.num_replicas_in_sync - 1
        if last and self.step == int(os.environ.get("SIGNAL_AT", "-1")):
            os.kill(os.getpid(), signal.SIGTERM)
        if last and self.step == int(os.environ.get("KILL_AT", "-1")) and os.environ["DISTRIB_START"] == "1":
            print("FAULT FIRED", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)


with strategy.scope():
    model = distrib.Sequential(
        [
            distrib.layers.Dense(16, activation="relu", input_shape=(8,)),
            distrib.layers.Dropout(0.4),
            distrib.layers.Dense(3, activation="softmax"),
        ],
        seed=5,
    )
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
backup = distrib.callbacks.BackupAndRestore(folder, save_freq=2, delete_checkpoint=False)
print("TRAINING", flush=True)
history = model.fit(x, y, epochs=6, batch_size=20, verbose=0, callbacks=[backup, Act()])
arrays = {
    **model.files.contents()[0]["model.safetensors"],
    **model.files.contents()[0]["optimizer.safetensors"],
}
digest = hashlib.sha256(json.dumps(history.history).encode())
for name, array in sorted(arrays.items()):
    digest.update(name.encode() + array.tobytes())
if strategy.is_chief:
    out.write_text(digest.hexdigest())
