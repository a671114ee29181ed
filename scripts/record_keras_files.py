"""Write small files with Keras, and what it computes with them, for tests/formats.

    KERAS_BACKEND=jax python scripts/record_keras_files.py keras3      # needs keras, jax, h5py
    python scripts/record_keras_files.py keras2                        # needs tensorflow, tf_keras, h5py

which the tests themselves do not: they read what this writes.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent.parent / "tests" / "formats" / "files"
EPOCHS = 3


def examples() -> tuple[Any, ...]:
    rng = np.random.default_rng(16)
    return (
        rng.normal(size=(16, 4)).astype("float32"),
        rng.integers(0, 3, 16),
        rng.normal(size=16).astype("float32"),
    )


def row(keras: Any, x: Any) -> Any:
    layers = keras.layers
    normalization = layers.Normalization(name="scaled")
    model = keras.Sequential(
        [
            keras.Input((4,)),
            normalization,
            layers.Dense(5, activation="relu", kernel_regularizer=keras.regularizers.L2(0.01)),
            layers.Dropout(0.0),
            layers.Dense(4, kernel_constraint=keras.constraints.MaxNorm(1.5), name="limited"),
            layers.LeakyReLU(),
            layers.Dense(3, activation="softmax"),
        ],
        name="row",
    )
    normalization.adapt(x)
    model.compile(
        keras.optimizers.RMSprop(0.01, momentum=0.9, centered=True),
        "sparse_categorical_crossentropy",
        metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=2)],
    )
    return model


def graph(keras: Any) -> Any:
    layers = keras.layers
    a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
    shared = layers.Dense(5, activation="tanh", name="shared")
    inner = keras.Sequential([keras.Input((5,)), layers.Dense(4), layers.PReLU()], name="inner")
    first, second = inner(shared(a)), inner(shared(layers.Dense(4, name="lifted")(b)))
    both = layers.Concatenate()([first, second])
    outputs = {
        "label": layers.Dense(3, activation="softmax", name="label")(layers.Add()([both, both])),
        "size": layers.Dense(1, name="size")(both),
    }
    model = keras.Model([a, b], [outputs["label"], outputs["size"]], name="graph")
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 100), amsgrad=True),
        {"label": "sparse_categorical_crossentropy", "size": keras.losses.Huber()},
        loss_weights={"label": 1.0, "size": 0.5},
        metrics={"label": ["accuracy"]},
    )
    return model


def record(keras: Any, prefix: str, endings: list[str]) -> dict[str, Any]:
    x, labels, sizes = examples()
    recorded: dict[str, Any] = {"version": keras.__version__}
    for name, model, data in (
        ("row", row(keras, x), (x, labels)),
        ("graph", graph(keras), ([x, x[:, :2]], [labels, sizes])),
    ):
        model.fit(*data, batch_size=8, epochs=EPOCHS, shuffle=False, verbose=0)
        for ending in endings:
            (model.save_weights if "weights" in ending else model.save)(FOLDER / f"{prefix}_{name}{ending}")
        predicted = model.predict(data[0], verbose=0)
        recorded[name] = {
            "predicted": [
                each.tolist() for each in (predicted if isinstance(predicted, list) else [predicted])
            ],
            "iterations": int(model.optimizer.iterations),
        }
        losses = model.fit(*data, batch_size=8, epochs=EPOCHS, shuffle=False, verbose=0).history["loss"]
        recorded[name]["losses after"] = [float(each) for each in losses]
    return recorded


def main() -> None:
    which = sys.argv[1]
    FOLDER.mkdir(parents=True, exist_ok=True)
    endings = [".keras", ".h5", ".weights.h5"]
    if which == "keras3":
        os.environ.setdefault("KERAS_BACKEND", "jax")
        recorded = record(importlib.import_module("keras"), which, endings)
    else:
        recorded = record(importlib.import_module("tf_keras"), which, endings[:2])
    (FOLDER / f"{which}.json").write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
