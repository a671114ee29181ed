"""A rank is lost or slow within step 12, in a phase of it: `phases.py STRATEGY PHASE FAULT VICTIM`.

A run that ends well has trained what one process trains, or it does not say so.
"""

import os
import sys
import time

import numpy as np
from fault import SIGNALS, fired

import distrib
from distrib.comm.collectives.mpi_native import MPICommunicator
from distrib.comm.collectives.shared_memory import SharedMemoryCommunicator
from distrib.comm.messages import wait
from distrib.comm.messages.channel import CheckedChannel

WARN_AFTER_S, SLOW_S = 1.0, 2.0  # instead of 5 s, which row A9's own test waits for

name, phase, fault, victim = *sys.argv[1:4], int(sys.argv[4])
os.environ["DISTRIB_JIT"] = "0"
os.environ["DISTRIB_ALLOW_ALONE"] = "1"  # each trains the same model by itself first
wait.WARN_AFTER_S = WARN_AFTER_S
if name == "central":
    strategy = distrib.CentralStorageStrategy()
else:
    options = (
        {"implementation": "ring", "bucket_bytes": 256} if name == "overlap" else {"implementation": name}
    )
    strategy = distrib.MirroredStrategy(distrib.CommunicationOptions(**options))
has_fired = False


def at_fault_at_step_12():
    global has_fired
    if strategy.replica_id == victim and model.optimizer.iterations == 12 and not has_fired:
        has_fired = True
        fired(f"in {phase}")
        if fault == "slow":
            time.sleep(SLOW_S)
        else:
            os.kill(os.getpid(), SIGNALS[fault])


def with_fault(function):
    def wrapper(*args, **kwargs):
        at_fault_at_step_12()
        return function(*args, **kwargs)

    return wrapper


def build(strategy):
    distrib.reset()
    with strategy.scope():
        model = distrib.Sequential(
            [
                distrib.layers.Dense(16, activation="tanh", input_shape=(8,)),
                distrib.layers.Dense(3, activation="softmax"),
            ],
            dtype="float64",
        )
        model.compile("adam", "sparse_categorical_crossentropy")
    return model


class Before(distrib.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        at_fault_at_step_12()


rng = np.random.default_rng(0)
x, y = rng.normal(size=(200, 8)), rng.integers(0, 3, 200)
alone = build(distrib.DefaultStrategy())
alone.fit(x, y, epochs=2, batch_size=20, verbose=0)
model = build(strategy)
callbacks = []
if phase == "before":
    callbacks = [Before()]
elif phase == "update":
    distrib.optimizers.Adam.update = with_fault(distrib.optimizers.Adam.update)
elif phase == "gather":
    communicator = type(strategy.communicator)
    communicator.all_gather = with_fault(communicator.all_gather)
elif name == "mpi":
    MPICommunicator.finish = with_fault(MPICommunicator.finish)
elif name in ("ring", "overlap", "hierarchical"):
    CheckedChannel.receive = with_fault(CheckedChannel.receive)
else:
    SharedMemoryCommunicator.combine = with_fault(SharedMemoryCommunicator.combine)
model.fit(x, y, epochs=2, batch_size=20, verbose=0, callbacks=callbacks)
mine, single = (np.concatenate([w.ravel() for w in each.get_weights()]) for each in (model, alone))
assert np.linalg.norm(mine - single) <= 1e-12 * np.linalg.norm(single)
print("ENDED WELL", flush=True)
