"""A tiny training under whatever strategy the launcher says, with a fault at a step of one replica.

    train.py EPOCHS FAULT VICTIM [FOLDER]

Ten checkpoints at most go to FOLDER, which the evaluator evaluates. A chief that is `late` waits for FOLDER/go.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

import distrib

epochs, fault, victim = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
folder = Path(sys.argv[4]) if len(sys.argv) > 4 else None
task = json.loads(os.environ["TF_CONFIG"])["task"]
print("I am", task["type"], task["index"], flush=True)
starts = int(os.environ["DISTRIB_START"])

kind = os.environ["DISTRIB_STRATEGY"]
if kind.startswith("ps-"):
    strategy = distrib.ParameterServerStrategy(mode=kind.removeprefix("ps-"))
else:
    strategy = {"mirrored": distrib.MirroredStrategy, "central_storage": distrib.CentralStorageStrategy}[
        kind
    ]()


class Fault(distrib.callbacks.Callback):
    """Does harm in the midst; and stops in good order when it is asked to."""

    steps, stop = 0, False

    def on_epoch_end(self, epoch, logs=None):
        if not kind.startswith("ps-"):  # after a batch, ranks would have to stop after the same one
            self.model.stop_training |= Fault.stop

    def on_train_end(self, logs=None):
        if self.model.stop_training and not kind.startswith("ps-"):
            print("SAVED AND ENDED", flush=True)

    def on_train_batch_end(self, batch, logs=None):
        Fault.steps += 1
        if Fault.steps == 1:
            print("TRAINING", flush=True)
        time.sleep(0.002)
        if kind.startswith("ps-") and Fault.stop and not self.model.stop_training:
            print("SAVED AND ENDED", flush=True)
            self.model.stop_training = True
        if Fault.steps != 8 or task["type"] == "evaluator" or strategy.replica_id != victim:
            return
        if starts > 1 and not fault.endswith(" always"):
            return
        if fault in ("none", "deaf", "late"):
            return
        print("FAULT FIRED", flush=True)
        if fault.startswith("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        elif fault.startswith("oom"):
            Path(os.environ["OOM_GROUP"], "cgroup.procs").write_text(str(os.getpid()))
            self.hog = np.ones(1 << 26)
        elif fault == "raise":
            raise ValueError("a bug of the user")
        elif fault == "exit7":
            sys.exit(7)
        elif fault == "exit0":
            os._exit(0)
        elif fault == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif fault == "lost":
            raise distrib.PeerLostError("the other side of the world")


def stop(number, frame):
    Fault.stop = True
    if task["type"] == "evaluator":
        print("THE EVALUATOR ENDS", flush=True)
        sys.exit()


def save(number, frame):
    print("SAVED", flush=True)


if task["type"] == "evaluator":
    print("EVALUATING", flush=True)
if fault != "deaf":
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGUSR1, save)

if fault == "late" and task["type"] == "chief":
    print("LATE", flush=True)
    while not (folder / "go").exists():
        time.sleep(0.02)
distrib.set_random_seed(1)
with strategy.scope():
    model = distrib.Sequential([distrib.layers.Dense(3, input_shape=(4,))])
    model.compile("sgd", "mse")
x = np.random.default_rng(0).normal(size=(64, 4))
callbacks = [Fault()]
if folder:
    often = 8 * (epochs // 10) if epochs > 10 else "epoch"
    callbacks.append(distrib.callbacks.ModelCheckpoint(folder / "ckpt-{epoch}", save_freq=often))
history = model.fit(
    x,
    x[:, :3],
    batch_size=8,
    epochs=epochs,
    verbose=0,
    validation_data=(x, x[:, :3]) if folder else None,
    callbacks=callbacks,
)
if strategy.is_chief:
    print(f"loss {history.history['loss'][-1]:.6f}", flush=True)
    if kind.startswith("ps-"):
        counts = [strategy.counters[name] for name in ("pushed", "applied", "dropped")]
        print("counts", *counts, "version", strategy.counters["version"], flush=True)
print("ENDED WELL", flush=True)
