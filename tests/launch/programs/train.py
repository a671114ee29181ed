"""A tiny training under whatever strategy the launcher says, with a fault at a step of one replica.

    train.py EPOCHS FAULT VICTIM [FOLDER]

The evaluator waits until the chief says, by a file in FOLDER, that it is done.
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

if task["type"] == "evaluator":
    while not (folder / "done").exists():
        time.sleep(0.02)
    time.sleep(0.3)  # evaluates the last checkpoint
    print("EVALUATED THE LAST", flush=True)
    sys.exit()

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

    def on_train_batch_end(self, batch, logs=None):
        Fault.steps += 1
        if Fault.steps == 1:
            print("TRAINING", flush=True)
        time.sleep(0.002)
        if Fault.stop:
            print("SAVED AND ENDED", flush=True)
            self.model.stop_training = True
        if Fault.steps != 8 or strategy.replica_id != victim or starts > 1:
            return
        if fault in ("none", "deaf"):
            return
        print("FAULT FIRED", flush=True)
        if fault.startswith("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
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


def save(number, frame):
    print("SAVED", flush=True)


if fault != "deaf":
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGUSR1, save)

distrib.set_random_seed(1)
with strategy.scope():
    model = distrib.Sequential([distrib.layers.Dense(3, input_shape=(4,))])
    model.compile("sgd", "mse")
x = np.random.default_rng(0).normal(size=(64, 4))
history = model.fit(x, x[:, :3], batch_size=8, epochs=epochs, verbose=0, callbacks=[Fault()])
if strategy.is_chief:
    print(f"loss {history.history['loss'][-1]:.6f}", flush=True)
    if kind.startswith("ps-"):
        counts = [strategy.counters[name] for name in ("pushed", "applied", "dropped")]
        print("counts", *counts, "version", strategy.counters["version"], flush=True)
    if folder:
        (folder / "done").touch()
print("ENDED WELL", flush=True)
