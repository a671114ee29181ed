"""How far a push travels: calls and files from `PsUpdater.push` to its return, on the worker and the ps."""

import os
import threading

import numpy as np
from helpers.ps import on_workers

import distrib

ROOT = os.path.dirname(distrib.__file__)
MOST_CALLS, MOST_FILES = 165, 28
"""300 calls through 41 files was a maze (November 2026). Whoever needs more has found a detour, or a reason."""


class Trace(distrib.callbacks.Callback):
    """Notes the calls of the sixth batch, in all threads."""

    def __init__(self):
        super().__init__()
        self.calls, self._is_on = [], False

    def profile(self, frame, event, arg):
        if self._is_on and event == "call" and frame.f_code.co_filename.startswith(ROOT):
            self.calls.append((os.path.relpath(frame.f_code.co_filename, ROOT), frame.f_code.co_qualname))

    def on_train_batch_begin(self, batch, logs=None):
        self._is_on = batch == 5


def test_a_push_takes_few_calls_through_few_files():
    trace = Trace()

    def body(strategy):
        layers = [
            distrib.layers.Dense(4, "relu", input_shape=(8,)),
            distrib.layers.Dense(3, "softmax"),
        ]
        model = distrib.Sequential(layers)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        x = np.ones((64, 8), np.float32)
        model.fit(x, np.arange(64) % 3, batch_size=4, epochs=1, verbose=0, callbacks=[trace])

    before = threading.getprofile()
    threading.setprofile(trace.profile)
    try:
        on_workers(1, body, mode="async")
    finally:
        threading.setprofile(before)
    names = [name for _, name in trace.calls]
    push = trace.calls[names.index("PsUpdater.push") : names.index("EpochLoop._add")]
    files = sorted({file for file, _ in push})
    assert {"ps/client/client.py", "ps/server/servicer.py", "ps/policy/order/sequencer.py"} <= set(files)
    assert len(push) <= MOST_CALLS, "\n".join(f"{file} {name}" for file, name in push)
    assert len(files) <= MOST_FILES, files
