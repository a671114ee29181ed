"""A small training run in which one rank misbehaves at a step: `train.py FAULT VICTIM STEP`.

The victim says `FAULT FIRED` before it does; a run that ends well says `ENDED WELL` on every rank.
"""

import ctypes
import os
import resource
import signal
import sys
import time

import fault as faults
import numpy as np

import distrib

fault, victim, at_step = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
timeout_s = float(os.environ.get("TIMEOUT_S", "600"))
check_every = 4 if fault == "drift" else 100
strategy = distrib.MirroredStrategy(
    distrib.CommunicationOptions(timeout_s=timeout_s, check_every=check_every)
)
guilty = strategy.replica_id == victim


def fired():
    faults.fired(f"{fault} on rank {victim} pid {os.getpid()}")


def misbehave():
    fired()
    if fault in faults.SIGNALS:
        os.kill(os.getpid(), faults.SIGNALS[fault])
    elif fault == "segv":
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        ctypes.string_at(0)
    elif fault == "slow":
        time.sleep(6)
    elif fault == "gil":
        assert ctypes.PyDLL(None).sleep(5) == 0  # unlike CDLL, it does not let other threads run
    elif fault == "raise":
        raise ValueError("a bug of the user")
    elif fault == "exit7":
        sys.exit(7)
    elif fault == "exit0":
        os._exit(0)
    elif fault == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
        np.ones(1 << 33)
    elif fault == "fork":
        misbehave_in_fork()
    elif fault == "drift":
        model.variables[0].value.view(np.uint32)[0, 0] ^= 1
    elif fault == "skip":
        strategy.barrier()


def misbehave_in_fork():
    """A forked child computes, cannot train, and ends without disturbing its parent."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, str(float(np.ones(100).sum())).encode())
        try:
            strategy.reduce("SUM", 1.0)
        except distrib.ProtocolError as error:
            os.write(write, f" refused: {error}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    print("child said", os.read(read, 10_000).decode(), flush=True)


class Misbehave(distrib.callbacks.Callback):
    step = 0

    def on_train_batch_begin(self, batch, logs=None):
        if guilty and self.step == at_step:
            misbehave()
        self.step += 1


rng = np.random.default_rng(0)
x, y = rng.normal(size=(200, 8)), rng.integers(0, 3, 200)
with strategy.scope():
    model = distrib.Sequential(
        [
            distrib.layers.Dense(16, activation="relu", input_shape=(8,)),
            distrib.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])

if fault == "nan" and guilty:
    fired()
if fault == "predict_alone":
    if guilty:
        fired()
        print("predicted", model.predict(x[:3]).shape, len(model.get_weights()), flush=True)
if fault == "nan":

    class Poison(distrib.callbacks.Callback):
        step = 0

        def on_train_batch_begin(self, batch, logs=None):
            if guilty and self.step == at_step:
                self.model.variables[0].value[0, 0] = np.nan
            self.step += 1

    callbacks = [Poison()]
else:
    callbacks = [Misbehave()]

model.fit(x, y, epochs=20, batch_size=20, verbose=0, callbacks=callbacks)
if fault == "exit0_after" and guilty:
    fired()
    os._exit(0)
print(f"ENDED WELL rank {strategy.replica_id}", flush=True)
