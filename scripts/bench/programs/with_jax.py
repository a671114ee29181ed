"""Trains the seed model with JAX and optax, step by step or as one loop; started by `scripts/bench/train.py`."""

from __future__ import annotations

import argparse
import time
from typing import Any

import jax
import jax.numpy as jnp
import optax

import contender


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--loop", choices=["scan", "steps"], default="steps")
    options = contender.parse(parser)
    x, y = (jnp.asarray(array) for array in contender.images())
    first, second = jax.random.split(jax.random.key(0))
    params = {
        "w1": jax.nn.initializers.glorot_uniform()(first, (784, options.hidden)),
        "b1": jnp.zeros(options.hidden),
        "w2": jax.nn.initializers.glorot_uniform()(second, (options.hidden, 10)),
        "b2": jnp.zeros(10),
    }
    adam = optax.adam(1e-3)

    def loss_of(params: Any, batch: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
        hidden = jax.nn.relu(batch @ params["w1"] + params["b1"])
        logits = hidden @ params["w2"] + params["b2"]
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss, (logits.argmax(1) == labels).sum()

    def step(carry: Any, index: jax.Array) -> tuple[Any, tuple[jax.Array, jax.Array]]:
        params, state = carry
        (loss, right), grads = jax.value_and_grad(loss_of, has_aux=True)(params, x[index], y[index])
        updates, state = adam.update(grads, state)
        return (optax.apply_updates(params, updates), state), (loss, right)

    one_step = jax.jit(step, donate_argnums=0)
    whole_epoch = jax.jit(lambda carry, index: jax.lax.scan(step, carry, index), donate_argnums=0)
    carry = (params, adam.init(params))
    size = options.batch_size
    carry, _ = one_step(carry, jnp.arange(size))
    jax.block_until_ready(carry)
    first_step = time.time()
    seconds = []
    for epoch in range(options.epochs + 1):
        begin = time.perf_counter()
        index = jax.random.permutation(jax.random.key(epoch), len(x)).reshape(-1, size)
        if options.loop == "scan":
            carry, results = whole_epoch(carry, index)
        else:
            results = []
            for part in index:
                carry, result = one_step(carry, part)
                results.append(result)
        jax.block_until_ready((carry, results))
        seconds.append(time.perf_counter() - begin)
    contender.report(options, len(x), seconds[1:], first_step, [contender.pss_bytes()])


if __name__ == "__main__":
    main()
