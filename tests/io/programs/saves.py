"""Trains, and saves after every epoch until it is killed: saves.py FOLDER NAME."""

import sys

import numpy as np

import distrib

folder, name = sys.argv[1:]
model = distrib.Sequential([distrib.layers.Dense(4, input_shape=(32,))], name=name, seed=1)
model.compile("sgd", "mse")


class Say(distrib.callbacks.Callback):
    """That an epoch is saved."""

    def on_epoch_end(self, epoch, logs=None):
        print("SAVED", epoch + 1, flush=True)


callbacks = [
    distrib.callbacks.ModelCheckpoint(folder + "/ckpt-{epoch}"),
    distrib.callbacks.BackupAndRestore(folder + "/backup"),
    Say(),
]
model.fit(np.ones((8, 32)), np.ones((8, 4)), epochs=100_000, verbose=0, callbacks=callbacks)
