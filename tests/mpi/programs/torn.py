"""CentralStorageStrategy that saves after every step: `torn.py FOLDER [VICTIM]`.

The victim is killed in the midst of update 12: the first pieces of its range of the common values are new by then.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np
from fault import fired

import distrib
from distrib.nn.optimizers import range_update

folder, victim = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else -1
os.environ["DISTRIB_JIT"] = "0"
range_update.PIECE_ELEMENTS = 16
strategy = distrib.CentralStorageStrategy()
num_pieces = 0


def update(self, values, *others, original=distrib.optimizers.Adam.update):
    global num_pieces
    if strategy.replica_id == victim and self.iterations == 11:
        num_pieces += 1
        if num_pieces == 3:
            fired("between two pieces")
            os.kill(os.getpid(), signal.SIGKILL)
        before = values.copy()
        original(self, values, *others)
        assert (values != before).all(), "this piece is updated"
    else:
        original(self, values, *others)


distrib.optimizers.Adam.update = update
rng = np.random.default_rng(0)
x, y = rng.normal(size=(200, 8)), rng.integers(0, 3, 200)
with strategy.scope():
    model = distrib.Sequential(
        [
            distrib.layers.Dense(16, activation="tanh", input_shape=(8,)),
            distrib.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
saving = distrib.callbacks.ModelCheckpoint(folder / "ckpt-{epoch}-{batch}", save_freq=1)
model.fit(x, y, epochs=2, batch_size=20, verbose=0, callbacks=[saving])
print("ENDED WELL", flush=True)
