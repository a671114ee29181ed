"""A training that ends in the way that is named, under whatever started it.

    ends.py CAUSE FOLDER

FOLDER is for backups, which are written at the beginning, and where a signal asks for one. With `wait` the training
goes on until a signal ends it; with `slow` it takes some seconds.
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

cause, folder = sys.argv[1], Path(sys.argv[2])
strategy = distrib.strategy_from_cluster()
distrib.set_random_seed(1)


class Ends(distrib.callbacks.Callback):
    """Ends the training, on the chief or on another replica, in the midst of an epoch: in its fourth step.

    Around an asynchronous parameter server a replica may do less than four steps of an epoch.
    """

    steps = 0

    def on_train_batch_end(self, batch, logs=None):
        if cause in ("wait", "slow"):
            if batch == 1:
                (folder / f"trains-{strategy.replica_id}").touch()
            time.sleep(float(os.environ.get("SLOWER", "0.01")))
        self.steps += 1
        if self.steps != 4:
            return
        if strategy.is_chief and cause == "raise":
            raise RuntimeError("a bug of the user")
        if strategy.is_chief and cause == "exit 3":
            sys.exit(3)
        if strategy.replica_id == strategy.num_replicas_in_sync - 1 and cause == "killed":
            os.kill(os.getpid(), signal.SIGKILL)


x = np.random.default_rng(0).normal(size=(64, 4))
y = x[:, :3].copy()
if cause == "data":
    y = y[:32]
if cause == "nan":
    y[5] = np.nan
if cause == "storage":
    (folder / "file").touch()
    folder = folder / "file"
with strategy.scope():
    model = distrib.Sequential([distrib.layers.Dense(3, input_shape=(4,))])
    model.compile("no such optimizer" if cause == "config" else "sgd", "mse")
callbacks = [Ends()]
if cause in ("storage", "wait", "slow"):
    callbacks.append(
        distrib.callbacks.BackupAndRestore(folder / "backup", save_freq=10**9, delete_checkpoint=False)
    )
epochs = {"wait": 100_000, "slow": 40, "raise": 20, "exit 3": 20, "killed": 20}.get(cause, 2)
model.fit(x, y, batch_size=8, epochs=epochs, verbose=0, callbacks=callbacks)
if strategy.is_chief:
    print("values", json.dumps([float(value) for each in model.get_weights() for value in each.ravel()]))
    print("weights", hashlib.sha256(b"".join(each.tobytes() for each in model.get_weights())).hexdigest())
print("END OF SCRIPT")
