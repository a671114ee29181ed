"""Training on all ranks, each with a TensorBoard callback on the same folder: `summaries.py FOLDER HISTORY`."""

import json
import sys
from pathlib import Path

import numpy as np

import distrib

folder, history_path = sys.argv[1], Path(sys.argv[2])
rng = np.random.default_rng(0)
x, y = rng.normal(size=(40, 8)), rng.integers(0, 3, 40)
strategy = distrib.MirroredStrategy()
with strategy.scope():
    model = distrib.Sequential([distrib.layers.Dense(3, activation="softmax", input_shape=(8,))], seed=1)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
board = distrib.callbacks.TensorBoard(folder, histogram_freq=1, update_freq="batch")
history = model.fit(x, y, batch_size=10, epochs=3, validation_data=(x, y), callbacks=[board], verbose=0)
if strategy.is_chief:
    history_path.write_text(json.dumps(history.history))
