"""The gradient of a tape beside that of hand-written layers, PyTorch, JAX and HIPS autograd: one core, in turns.

    python scripts/bench/tape.py [--hidden 100 1024] [--steps 300]

A batch of 100, 784 inputs, ReLU, 10 classes, softmax cross-entropy, float32: the gradient only. Peers that are not
installed are left out. Prints the median of five rounds in microseconds, and the ratio to the hand-written layers.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import distrib
import numpy as np
from distrib import layers, tf
from distrib.nn.rng import RngKey

BATCH, INPUTS, CLASSES = 100, 784, 10


def by_hand(x: Any, y: Any, weights: Any) -> Callable[[], object]:
    model = distrib.Sequential(
        [
            layers.Input((INPUTS,)),
            layers.Dense(weights[0].shape[1], activation="relu"),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.set_weights(weights)
    network = model.network
    objective = model.compile_config.objective(network, y)
    targets = model.compile_config.prepare(y, network)
    draw = RngKey(0, 0, 0)

    def step() -> object:
        network.train_on(x, targets, None, draw, objective)
        return network.buffer.grads[: weights[0].size] / BATCH

    return step


def taped(x: Any, y: Any, weights: Any) -> Callable[[], object]:
    w1, b1, w2, b2 = variables = [distrib.Variable(each) for each in weights]

    def step() -> object:
        with distrib.GradientTape() as tape:
            h = np.maximum(x @ w1 + b1, 0)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, h @ w2 + b2)
            loss = np.mean(losses)
        return tape.gradient(loss, variables)[0]

    return step


def torch(x: Any, y: Any, weights: Any) -> Callable[[], object]:
    import torch

    torch.set_num_threads(1)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    w1, b1, w2, b2 = variables = [torch.from_numpy(each.copy()).requires_grad_() for each in weights]

    def step() -> object:
        logits = torch.relu(x @ w1 + b1) @ w2 + b2
        return torch.autograd.grad(torch.nn.functional.cross_entropy(logits, y), variables)[0]

    return step


def jax(x: Any, y: Any, weights: Any) -> Callable[[], object]:
    import jax
    import jax.numpy as jnp

    def loss(weights: Any, x: Any, y: Any) -> Any:
        w1, b1, w2, b2 = weights
        logits = jnp.maximum(x @ w1 + b1, 0) @ w2 + b2
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1))

    gradient, weights = jax.jit(jax.grad(loss)), [jnp.asarray(each) for each in weights]
    return lambda: jax.block_until_ready(gradient(weights, x, y))[0]


def autograd(x: Any, y: Any, weights: Any) -> Callable[[], object]:
    import autograd
    import autograd.numpy as anp

    def loss(weights: Any) -> Any:
        w1, b1, w2, b2 = weights
        logits = anp.dot(anp.maximum(anp.dot(x, w1) + b1, 0), w2) + b2
        logits = logits - anp.max(logits, axis=1, keepdims=True)
        log = logits - anp.log(anp.sum(anp.exp(logits), axis=1, keepdims=True))
        return -anp.mean(log[anp.arange(len(y)), y])

    gradient = autograd.grad(loss)
    return lambda: gradient(weights)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[100, 1024])
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    for hidden in options.hidden:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(BATCH, INPUTS)).astype(np.float32)
        y = rng.integers(0, CLASSES, BATCH)
        shapes = [(INPUTS, hidden), (hidden,), (hidden, CLASSES), (CLASSES,)]
        weights = [(rng.normal(size=shape) * 0.05).astype(np.float32) for shape in shapes]
        ways, steps = {}, options.steps if hidden < 500 else max(options.steps // 4, 1)
        for make in (by_hand, taped, torch, jax, autograd):
            try:
                ways[make.__name__] = make(x, y, weights)
            except ImportError:
                print(f"{make.__name__} is not installed.")
        first = np.asarray(ways["by_hand"]()).reshape(shapes[0]).copy()
        times: dict[str, list[float]] = {name: [] for name in ways}
        for step in ways.values():
            np.testing.assert_allclose(np.asarray(step()).reshape(shapes[0]), first, atol=1e-5)
        for _ in range(5):
            for name, step in ways.items():
                begin = time.perf_counter()
                for _ in range(steps):
                    step()
                times[name].append((time.perf_counter() - begin) / steps * 1e6)
        base = statistics.median(times["by_hand"])
        for name, each in times.items():
            median = statistics.median(each)
            print(f"hidden {hidden:5} {name:10} {median:9.0f} us {median / base:6.2f}")


if __name__ == "__main__":
    main()
