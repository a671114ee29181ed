"""The compiled loops give the bits of their NumPy twins."""

import os
import subprocess
import sys

import numpy as np
import pytest

import distrib
from distrib.nn import jit
from distrib.nn.optimizers import SGD, Adam

OPTIMIZERS = {
    "adam": Adam,
    "sgd": SGD,
    "momentum": lambda: SGD(0.1, momentum=0.9),
    "nesterov": lambda: SGD(0.1, momentum=0.9, nesterov=True),
}


def train(make, num_elements, dtype):
    rng = np.random.default_rng(7)
    optimizer = make()
    optimizer.build(num_elements, np.dtype(dtype))
    values = rng.normal(size=num_elements).astype(dtype)
    for _ in range(5):
        grads = rng.normal(size=num_elements).astype(dtype)
        optimizer.apply(values, grads, scale=1 / 300)
    return [values, *optimizer.slots.values()]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("num_elements", [0, 1, 31, 100_003])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_compiled_updates_give_the_same_bits(monkeypatch, name, num_elements, dtype):
    monkeypatch.setenv("DISTRIB_JIT", "1")
    assert jit.available()
    fused = train(OPTIMIZERS[name], num_elements, dtype)
    monkeypatch.setenv("DISTRIB_JIT", "0")
    assert not jit.available()
    in_pieces = train(OPTIMIZERS[name], num_elements, dtype)
    for ours, theirs in zip(fused, in_pieces, strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_training_gives_the_same_bits(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 6)), rng.integers(0, 3, 50)

    def trained():
        distrib.reset()
        model = distrib.Sequential(
            [
                distrib.layers.Dense(9, activation="relu", kernel_regularizer="l2", input_shape=(6,)),
                distrib.layers.Dense(3, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=3, batch_size=8, verbose=0)
        return b"".join(weight.tobytes() for weight in model.get_weights())

    monkeypatch.setenv("DISTRIB_JIT", "0")
    without = trained()
    monkeypatch.setenv("DISTRIB_JIT", "1")
    assert trained() == without


def test_a_cache_that_cannot_be_written_does_not_stop_training(tmp_path):
    program = (
        "import resource, numpy as np, distrib; from distrib.nn.optimizers import Adam\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "adam = Adam(); adam.build(8, np.dtype('f4')); values = np.ones(8, 'f4')\n"
        "adam.apply(values, np.ones(8, 'f4')); print(adam._fused is not None, values[0] < 1)\n"
    )
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "DISTRIB_JIT": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=50
    )
    assert ended.stdout == "True True\n", ended.stderr
