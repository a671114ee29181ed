"""Within Keras: prepare data as a list of calls says, and write what comes out.

    python keras_prepares_data.py FOLDER

`calls.json` lists calls, each with a name, the function below, and its arguments, of which `"array:NAME"` is one of
`arrays.npz`. Writes `out.npz` with `NAME/0`, `NAME/1`, ...
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
from keras import utils
from keras._tf_keras.keras.preprocessing import image as legacy


def images(directory: str, **arguments: object) -> list[np.ndarray]:
    dataset = utils.image_dataset_from_directory(directory, format="grain", verbose=False, **arguments)
    return [np.array([os.path.relpath(path, directory) for path in dataset.file_paths]), *joined(dataset)]


def joined(dataset: object) -> list[np.ndarray]:
    batches = [each if isinstance(each, tuple) else (each,) for each in dataset]
    return [np.concatenate([np.asarray(each) for each in parts]) for parts in zip(*batches, strict=True)]


def loaded(path: str, **arguments: object) -> list[np.ndarray]:
    return [utils.img_to_array(utils.load_img(path, **arguments))]


def timeseries(**arguments: object) -> list[np.ndarray]:
    return joined(utils.timeseries_dataset_from_array(format="grain", **arguments))


def draws(shape: list[int], seed: int, **arguments: object) -> list[np.ndarray]:
    found = legacy.ImageDataGenerator(**arguments).get_random_transform(tuple(shape), seed)
    return [np.float64(np.nan if each is None else each) for each in found.values()]


def transformed(x: np.ndarray, parameters: dict[str, float], **arguments: object) -> list[np.ndarray]:
    return [legacy.ImageDataGenerator(**arguments).apply_transform(x, parameters)]


def flowed(x: np.ndarray, fit: bool = False, **arguments: object) -> list[np.ndarray]:
    generator = legacy.ImageDataGenerator(**arguments)
    if fit:
        generator.fit(x)
    flow = generator.flow(x, np.arange(len(x)), batch_size=3, shuffle=False)
    return joined([flow[index] for index in range(len(flow))])


def from_directory(directory: str, generator: dict[str, object], **arguments: object) -> list[np.ndarray]:
    flow = legacy.ImageDataGenerator(**generator).flow_from_directory(directory, shuffle=False, **arguments)
    names = [np.array(flow.filenames), np.array(list(flow.class_indices))]
    return [*names, *joined([flow[index] for index in range(len(flow))])]


def padded(sequences: list[object], **arguments: object) -> list[np.ndarray]:
    return [utils.pad_sequences(sequences, **arguments)]


def main() -> None:
    folder = Path(sys.argv[1])
    with np.load(folder / "arrays.npz") as arrays:
        out = {}
        for name, function, arguments in json.loads((folder / "calls.json").read_text()):
            given = {
                key: arrays[each[6:]] if isinstance(each, str) and each.startswith("array:") else each
                for key, each in arguments.items()
            }
            for index, array in enumerate(globals()[function](**given)):
                out[f"{name}/{index}"] = array
    np.savez(folder / "out.npz", **out)


if __name__ == "__main__":
    main()
