"""Graphs of layers at random, of many layers of one shape, so that a wrong order of theirs is seen."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

from distrib import keras

SIZE = 4
EXAMPLES = 12


def random_graph(seed: int) -> keras.Model:
    """A model of one to three inputs and outputs, with shared layers, merged tensors and models as layers."""
    rng = Random(seed)
    layers = keras.layers
    inputs = [keras.Input((SIZE,), name=f"in{number}") for number in range(rng.randint(1, 3))]
    tensors = list(inputs)
    callables: list[Any] = []
    for _ in range(rng.randint(4, 12)):
        choice = rng.random()
        if choice < 0.2 and len(tensors) > 1:
            merged = rng.sample(tensors, 2)
            tensors.append(rng.choice([layers.Add, layers.Maximum, layers.Average])()(merged))
            continue
        if choice < 0.4 and callables:
            called = rng.choice(callables)
        elif choice < 0.55:
            called = keras.Sequential(
                [keras.Input((SIZE,)), layers.Dense(SIZE, "tanh"), layers.Dense(SIZE)],
                name=f"inner{len(callables)}",
            )
        elif choice < 0.65:
            called = layers.PReLU(alpha_initializer="random_uniform")
        else:
            called = layers.Dense(
                SIZE, rng.choice(["tanh", "sigmoid", None]), bias_initializer="random_normal"
            )
        callables.append(called)
        tensors.append(called(rng.choice(tensors)))
    used = rng.sample(tensors[len(inputs) :], min(rng.randint(1, 3), len(tensors) - len(inputs)))
    heads = [layers.Dense(SIZE, name=f"out{number}")(each) for number, each in enumerate(used)]
    return keras.Model(inputs, heads if len(heads) > 1 else heads[0], seed=seed)


def examples(model: keras.Model, seed: int) -> tuple[Any, Any]:
    """Inputs and targets for a graph, float32."""
    rng = np.random.default_rng(seed)
    x = [rng.normal(size=(EXAMPLES, SIZE)).astype("float32") for _ in model.inputs]
    y = [rng.normal(size=(EXAMPLES, SIZE)).astype("float32") for _ in model.outputs]
    return (x if len(x) > 1 else x[0]), (y if len(y) > 1 else y[0])
