"""Within Keras: load every model of a folder, predict, train on, and save.

    python keras_trains_on.py FOLDER

For each `NAME.keras` or `NAME.h5` with `NAME.npz` (x0, x1, ..., y0, y1, ...) writes `NAME.out.npz` (p0, ..., losses)
and `NAME.back.keras`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np


def listed(data: dict[str, np.ndarray], letter: str) -> list[np.ndarray]:
    return [data[key] for key in sorted(data) if key[0] == letter]


def one(values: list[np.ndarray]) -> list[np.ndarray] | np.ndarray:
    return values if len(values) > 1 else values[0]


def main() -> None:
    for path in sorted(Path(sys.argv[1]).glob("*.npz")):
        name = path.name.removesuffix(".npz")
        source = next(
            each for each in (path.with_name(f"{name}{end}") for end in (".keras", ".h5")) if each.exists()
        )
        data = dict(np.load(path))
        x, y = one(listed(data, "x")), one(listed(data, "y"))
        model = keras.models.load_model(source)
        weights = path.with_name(f"{name}.weights.h5")
        if weights.exists():
            before = model.get_weights()
            model.load_weights(weights)
            assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True)), name
        predicted = model.predict(x, verbose=0)
        found = {
            f"p{i}": each for i, each in enumerate(predicted if isinstance(predicted, list) else [predicted])
        }
        found["losses"] = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"]
        np.savez(path.with_name(f"{name}.out.npz"), **found)
        model.save(path.with_name(f"{name}.back.keras"))


if __name__ == "__main__":
    main()
