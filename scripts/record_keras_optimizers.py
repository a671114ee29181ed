"""Record what Keras' optimizers and constraints compute, for tests/nn/test_optimizers_against_keras.py.

    python scripts/record_keras_optimizers.py

needs keras and jax, which the tests themselves do not: they read the file this writes.
"""

from __future__ import annotations

import inspect
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import keras
import numpy as np
from keras.src.backend.common import dtypes

TARGET = Path(__file__).parent.parent / "tests" / "nn" / "keras_optimizers.json"
STEPS = 5
OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("Lamb", {}),
    ("Lamb", {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4, "weight_decay": 0.1}),
    # Keras rounds these arguments to float32 whatever the dtype: only numbers that float32 has can be compared.
    ("Adafactor", {"beta_2_decay": -0.75}),
    ("Adafactor", {"learning_rate": 0.75, "beta_2_decay": -0.5, "epsilon_2": 0.125, "clip_threshold": 0.5}),
    ("Adafactor", {"relative_step": False, "beta_2_decay": -0.75, "clipnorm": 0.25}),
    ("SGD", {"clipnorm": 0.5}),
    ("Adam", {"learning_rate": 0.1, "clipnorm": 0.5, "weight_decay": 0.05}),
    ("Adam", {"learning_rate": 0.1, "loss_scale_factor": 8.0}),
]
CONSTRAINTS: list[tuple[str, dict[str, Any]]] = [
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 0.7, "axis": 1}),
    ("MaxNorm", {"max_value": 0.7, "axis": [0, 1]}),
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": 1}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 0.5, "max_value": 0.8, "rate": 0.3, "axis": 1}),
]


def optimizer_case(name: str, arguments: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    shapes = [(4, 3), (3,), (2, 3, 2)]
    values = [rng.normal(size=shape) for shape in shapes]
    grads = [[rng.normal(size=shape) for shape in shapes] for _ in range(STEPS)]
    variables = [keras.Variable(value, dtype="float64") for value in values]
    optimizer = getattr(keras.optimizers, name)(**arguments)
    factor = arguments.get("loss_scale_factor", 1.0)
    for step in grads:
        # Keras expects gradients of a loss that was scaled.
        optimizer.apply([keras.ops.convert_to_tensor(grad * factor, "float64") for grad in step], variables)
    return {
        "name": name,
        "arguments": arguments,
        "values": [value.tolist() for value in values],
        "grads": [[grad.tolist() for grad in step] for step in grads],
        "after": [keras.ops.convert_to_numpy(variable.value).tolist() for variable in variables],
    }


def defaults(cls: type) -> list[list[Any]]:
    parameters = inspect.signature(cls).parameters.values()
    return [[each.name, each.default] for each in parameters if each.kind is not each.VAR_KEYWORD]


def main() -> None:
    keras.backend.set_floatx("float64")
    dtypes.result_type = lambda *types: "float64"  # Keras computes means and maxima of float64 in float32
    rng = np.random.default_rng(16)
    w = rng.normal(size=(4, 3))
    recorded = {
        "optimizers": [optimizer_case(name, arguments, rng) for name, arguments in OPTIMIZERS],
        "w": w.tolist(),
        "constraints": [
            [
                name,
                arguments,
                keras.ops.convert_to_numpy(getattr(keras.constraints, name)(**arguments)(w)).tolist(),
            ]
            for name, arguments in CONSTRAINTS
        ],
        "defaults": {
            name: defaults(getattr(module, name))
            for module, names in (
                (keras.optimizers, ["Lamb", "Adafactor"]),
                (keras.constraints, ["MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm"]),
            )
            for name in names
        },
    }
    TARGET.write_text(json.dumps(recorded, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
