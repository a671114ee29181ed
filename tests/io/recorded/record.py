"""Wrote what lies beside it, with distrib of 2026-11-26 (commit f6d507c), before its modules moved.

python record.py FOLDER
"""

import json
import sys
from pathlib import Path

import numpy as np

import distrib

X = np.random.default_rng(3).normal(size=(24, 4))
Y = np.random.default_rng(4).integers(0, 3, 24)


class Stop(Exception):
    """Ends a training where a failure might."""


class StopAt(distrib.callbacks.Callback):
    """Raises in the middle of an epoch."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step, self.steps = step, 0

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Count, and raise."""
        self.steps += 1
        if self.steps == self.step:
            raise Stop


def make() -> distrib.Sequential:
    """The model that is trained."""
    layers = distrib.layers
    model = distrib.Sequential(
        [
            layers.Input(shape=(4,)),
            layers.Dense(5, activation="tanh", kernel_regularizer="l2"),
            layers.Dropout(0.25),
            layers.Dense(3),
            layers.Activation("softmax"),
        ],
        name="recorded",
        dtype="float64",
        seed=11,
    )
    model.compile(distrib.optimizers.Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def main(folder: Path) -> None:
    """Train, and save in every way."""
    model = make()
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    model.save(folder / "model")
    model.save_weights(folder / "model.weights.safetensors")
    distrib.train.CheckpointManager(model, folder / "checkpoints").save()
    after = {"predicted": model.predict(X, verbose=0).tolist()}
    model.fit(X, Y, batch_size=8, epochs=4, initial_epoch=2, verbose=0)
    after["trained"] = [weight.tolist() for weight in model.get_weights()]

    backup = distrib.callbacks.BackupAndRestore(folder / "backup", save_freq=1)
    try:
        make().fit(X, Y, batch_size=8, epochs=3, verbose=0, callbacks=[StopAt(5), backup])
    except Stop:
        pass
    straight = make()
    straight.fit(X, Y, batch_size=8, epochs=3, verbose=0)
    after["straight"] = [weight.tolist() for weight in straight.get_weights()]
    (folder / "after.json").write_text(json.dumps(after))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
