"""Record the public names of Keras, for scripts/keras_table.py: run it with Keras' Python.

KERAS_BACKEND=torch python scripts/record_keras_names.py > tests/nn/keras_names.json
"""

import json
import operator
import sys

import keras
import torch

MODULES = [
    *("layers", "optimizers", "optimizers.schedules", "losses", "metrics", "activations", "initializers"),
    *("regularizers", "constraints", "callbacks", "datasets", "utils", "models"),
]


def main() -> None:
    """Print the names as JSON."""
    found: dict = {"keras": keras.__version__}
    for module in MODULES:
        names = dir(operator.attrgetter(module)(keras))
        found[module] = sorted(
            n for n in names if n[0] != "_" and n not in ("deserialize", "serialize", "legacy")
        )
    of_torch = set(dir(torch.nn.Module)) | {"dtype", "float"}
    for name, cls in (("Model", keras.Model), ("Layer", keras.layers.Layer)):
        found[name] = sorted(n for n in dir(cls) if n[0] != "_" and n not in of_torch)
    json.dump(found, sys.stdout, separators=(",", ":"))


if __name__ == "__main__":
    main()
