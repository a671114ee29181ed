"""The compiled loops give the bits of their NumPy twins."""

import os
import subprocess
import sys

import numpy as np
import pytest
from helpers import optimizers

import distrib
from distrib.nn import jit
from distrib.nn.optimizers import SGD, Adam

OPTIMIZERS = {
    **{name: make for name, make in optimizers.OPTIMIZERS.items() if name != "ftrl, power"},
    "adam, clipped": lambda: Adam(0.01, clipvalue=0.001),
    "nesterov, clipped": lambda: SGD(0.1, momentum=0.9, nesterov=True, clipvalue=0.001),
}
"""A power is not exact: the compiled one may differ from NumPy's in the last bit."""


def train(make, num_elements, dtype, clipping_by_hand=None):
    rng = np.random.default_rng(7)
    optimizer = make()
    optimizer.build(num_elements, np.dtype(dtype))
    values = rng.normal(size=num_elements).astype(dtype)
    for _ in range(5):
        grads = rng.normal(size=num_elements).astype(dtype)
        if clipping_by_hand is None:
            optimizer.apply_range(values, grads, scale=1 / 300)
        else:
            limit = np.dtype(dtype).type(clipping_by_hand)
            optimizer.apply_range(values, np.clip(grads * np.dtype(dtype).type(1 / 300), -limit, limit))
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


@pytest.mark.parametrize("has_jit", ["0", "1"])
def test_clipping_by_value_is_clipping_what_is_given(monkeypatch, has_jit):
    monkeypatch.setenv("DISTRIB_JIT", has_jit)
    clipped = train(OPTIMIZERS["adam, clipped"], 100_003, "float32")
    by_hand = train(OPTIMIZERS["adam"], 100_003, "float32", clipping_by_hand=0.001)
    assert not np.array_equal(clipped[0], train(OPTIMIZERS["adam"], 100_003, "float32")[0])
    for ours, theirs in zip(clipped, by_hand, strict=True):
        assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("options", [{}, {"clipvalue": 0.01}, {"global_clipnorm": 0.1}])
def test_training_gives_the_same_bits(monkeypatch, options):
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
        model.compile(Adam(**options), "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=3, batch_size=8, verbose=0)
        return b"".join(weight.tobytes() for weight in model.get_weights())

    monkeypatch.setenv("DISTRIB_JIT", "0")
    without = trained()
    monkeypatch.setenv("DISTRIB_JIT", "1")
    assert trained() == without


def run(program, cache):
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "DISTRIB_JIT": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=50
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_second_process_finds_the_loop_in_the_cache(tmp_path):
    program = (
        "import numpy as np; from distrib.nn.optimizers import SGD\n"
        "sgd = SGD(); sgd.build(8, np.dtype('f4')); stats = sgd.compiled_loop.stats\n"
        "print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))\n"
    )
    assert run(program, tmp_path) == "0 1\n"
    assert run(program, tmp_path) == "1 0\n"


def test_a_cache_that_cannot_be_written_does_not_stop_training(tmp_path):
    program = (
        "import resource, numpy as np, distrib; from distrib.nn.optimizers import Adam\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "adam = Adam(); adam.build(8, np.dtype('f4')); values = np.ones(8, 'f4')\n"
        "adam.apply_range(values, np.ones(8, 'f4')); print(adam.compiled_loop is not None, values[0] < 1)\n"
    )
    assert run(program, tmp_path) == "True True\n"
