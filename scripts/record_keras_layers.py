"""Record what Keras computes in layers and activations, to compare with: run it with Keras' Python.

KERAS_BACKEND=torch python scripts/record_keras_layers.py > tests/nn/keras_layers.json
"""

import inspect
import json
import sys
from collections.abc import Callable

import keras
import numpy as np
import torch

ACTIVATIONS = [
    *(
        "celu",
        "elu",
        "exponential",
        "gelu",
        "hard_shrink",
        "hard_sigmoid",
        "hard_silu",
        "hard_swish",
        "hard_tanh",
    ),
    *(
        "leaky_relu",
        "linear",
        "log_sigmoid",
        "log_softmax",
        "mish",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
    ),
    *(
        "soft_shrink",
        "softmax",
        "softplus",
        "softsign",
        "sparse_plus",
        "sparse_sigmoid",
        "squareplus",
    ),
    *("swish", "tanh", "tanh_shrink"),
]

# Class, arguments, shapes of the inputs without the batch.
LAYERS = [
    ("ReLU", {}, [[4]]),
    ("ReLU", {"max_value": 0.8, "negative_slope": 0.1, "threshold": 0.2}, [[4]]),
    ("LeakyReLU", {}, [[4]]),
    ("ELU", {"alpha": 0.7}, [[4]]),
    ("Softmax", {}, [[2, 3]]),
    ("PReLU", {"alpha_initializer": "ones", "shared_axes": [1]}, [[3, 4]]),
    ("Reshape", {"target_shape": [3, -1]}, [[2, 6]]),
    ("Permute", {"dims": [2, 1]}, [[2, 3]]),
    ("RepeatVector", {"n": 3}, [[4]]),
    ("Flatten", {}, [[2, 3]]),
    ("Identity", {}, [[3]]),
    ("Rescaling", {"scale": 0.5, "offset": -1.0}, [[2, 3]]),
    ("Normalization", {"mean": [0.1, 0.2, 0.3], "variance": [1.0, 2.0, 0.5]}, [[2, 3]]),
    ("Normalization", {"axis": None, "mean": 0.1, "variance": 2.0, "invert": True}, [[2, 3]]),
    ("UnitNormalization", {}, [[2, 3]]),
    ("UnitNormalization", {"axis": [1, 2]}, [[2, 3]]),
    ("Add", {}, [[2, 3], [2, 3], [3]]),
    ("Subtract", {}, [[2, 3], [1, 3]]),
    ("Multiply", {}, [[2, 3], [2, 3], [2, 1]]),
    ("Average", {}, [[3], [3]]),
    ("Maximum", {}, [[3], [3], [3]]),
    ("Minimum", {}, [[2, 3], [3]]),
    ("Concatenate", {}, [[2, 3], [2, 1]]),
    ("Concatenate", {"axis": 1}, [[2, 3], [1, 3]]),
    ("Dot", {"axes": 1}, [[3], [3]]),
    ("Dot", {"axes": [2, 1]}, [[2, 3], [3, 4]]),
    ("Dot", {"axes": -1, "normalize": True}, [[3], [3]]),
    ("Dense", {"units": 2, "kernel_initializer": "ones", "bias_initializer": "ones"}, [[2, 3, 4]]),
]

SIGNATURES = [
    *(
        "Activation",
        "ActivityRegularization",
        "Add",
        "Average",
        "Concatenate",
        "Dense",
        "Dot",
        "Dropout",
        "ELU",
    ),
    *("Flatten", "GaussianDropout", "GaussianNoise", "Identity", "Lambda", "LeakyReLU", "Masking", "Maximum"),
    *(
        "Minimum",
        "Multiply",
        "Normalization",
        "PReLU",
        "Permute",
        "ReLU",
        "RepeatVector",
        "Rescaling",
        "Reshape",
    ),
    *("Softmax", "Subtract", "UnitNormalization"),
]


def inputs_for(shapes: list[list[int]]) -> list[np.ndarray]:
    """Numbers that need no generator to be made again."""
    return [
        np.sin((np.arange(3 * int(np.prod(shape))) + 0.5) * (1.7 + index)).reshape(3, *shape) * 2
        for index, shape in enumerate(shapes)
    ]


def recorded(function: Callable, arrays: list[np.ndarray]) -> dict:
    """The result for these arrays, and the gradients of the sum of its elements times their numbers."""
    tensors = [torch.tensor(each, dtype=torch.float64, requires_grad=True) for each in arrays]
    result = function(tensors)
    factors = torch.cos(torch.arange(result.numel(), dtype=torch.float64)).reshape(result.shape)
    (result * factors).sum().backward()
    return {
        "dtype": str(result.dtype).removeprefix(
            "torch."
        ),  # some layers of Keras compute in float32 all the same
        "output": result.detach().cpu().numpy().round(14).tolist(),
        "gradients": [
            np.zeros(each.shape).tolist() if each.grad is None else each.grad.cpu().numpy().round(14).tolist()
            for each in tensors
        ],
    }


def main() -> None:
    """Print the records as JSON."""
    keras.config.set_floatx("float64")
    found: dict = {"keras": keras.__version__, "activations": {}, "layers": [], "signatures": {}}
    for name in ACTIVATIONS:
        function = getattr(keras.activations, name)
        found["activations"][name] = recorded(lambda x, f=function: f(x[0]), inputs_for([[5]]))
    for name, arguments, shapes in LAYERS:
        layer = getattr(keras.layers, name)(**arguments, dtype="float64")
        record = recorded(lambda x, f=layer: f(x if len(x) > 1 else x[0]), inputs_for(shapes))
        found["layers"].append({"class": name, "arguments": arguments, "shapes": shapes, **record})
    for name in SIGNATURES:
        parameters = inspect.signature(getattr(keras.layers, name).__init__).parameters.values()
        found["signatures"][name] = {
            each.name: None if each.default is each.empty else repr(each.default)
            for each in list(parameters)[1:]
            if each.kind is each.POSITIONAL_OR_KEYWORD
        }
    json.dump(found, sys.stdout, separators=(",", ":"))


if __name__ == "__main__":
    main()
