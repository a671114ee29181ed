"""Rank 1 is lost within step 12, in a phase of it: `phases.py STRATEGY PHASE FAULT`."""

import os
import sys

import numpy as np
from fault import SIGNALS, fired

import distrib
from distrib.comm.messenger import Messenger
from distrib.comm.shared_memory import SharedMemoryCommunicator

name, phase, fault = sys.argv[1:]
if name == "central":
    strategy = distrib.CentralStorageStrategy()
else:
    overlap = (
        {"implementation": "ring", "bucket_bytes": 256} if name == "overlap" else {"implementation": name}
    )
    strategy = distrib.MirroredStrategy(distrib.CommunicationOptions(**overlap))


def lost_at_step_12(function):
    def wrapper(*args, **kwargs):
        if strategy.replica_id == 1 and model.optimizer.iterations == 12:
            fired(f"in {phase}")
            os.kill(os.getpid(), SIGNALS[fault])
        return function(*args, **kwargs)

    return wrapper


with strategy.scope():
    model = distrib.Sequential(
        [
            distrib.layers.Dense(16, activation="relu", input_shape=(8,)),
            distrib.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
if phase == "reduce" and name in ("ring", "overlap"):
    Messenger.receive = lost_at_step_12(Messenger.receive)
elif phase == "reduce":
    SharedMemoryCommunicator._combine = lost_at_step_12(SharedMemoryCommunicator._combine)
elif phase == "update":
    distrib.optimizers.Adam.update = lost_at_step_12(distrib.optimizers.Adam.update)
else:
    communicator = type(strategy.communicator)
    communicator.all_gather = lost_at_step_12(communicator.all_gather)
os.environ["DISTRIB_JIT"] = "0"
rng = np.random.default_rng(0)
model.fit(rng.normal(size=(200, 8)), rng.integers(0, 3, 200), epochs=20, batch_size=20, verbose=0)
print("ENDED WELL", flush=True)
