"""Gradients of small programs, beside those of JAX: the same source, over its arrays and over ours."""

import json
import os
import subprocess
import textwrap
from pathlib import Path

import numpy as np
import pytest

from distrib.autodiff.tape import GradientTape
from distrib.autodiff.tensor import as_tensor

PROGRAMS = {
    "logistic": "np.mean(np.log1p(np.exp(-a @ b[:, 0])))",
    "mlp": "np.mean(np.square(np.tanh(a @ b) @ b.T))",
    "softmax": "-np.mean(np.log(np.exp(a) / np.sum(np.exp(a), axis=1, keepdims=True))[:, 0])",
    "logsumexp": "np.sum(np.log(np.sum(np.exp(a - np.max(a, axis=1, keepdims=True)), axis=1)))",
    "gelu": "np.sum(0.5 * a * (1 + np.tanh(0.79788456 * (a + 0.044715 * a**3))))",
    "layer norm": "np.sum(((a - np.mean(a, 1, keepdims=True)) / np.sqrt(np.var(a, 1, keepdims=True) + 1e-3)) ** 3)",
    "attention": "np.sum(np.exp(a @ a.T) / np.sum(np.exp(a @ a.T), 1, keepdims=True) @ a)",
    "cosine": "np.sum(a[0] * a[1]) / (np.linalg.norm(a[0]) * np.linalg.norm(a[1]))",
    "huber": "np.sum(np.where(np.abs(a) < 1, 0.5 * a * a, np.abs(a) - 0.5))",
    "hinge": "np.mean(np.maximum(0, 1 - a * np.sign(a - 0.1)))",
    "polynomial": "np.sum(a**3 - 2 * a**2 + a - 1)",
    "pairwise": "np.sum(np.sqrt(np.sum((a[:, None] - b.T[None]) ** 2, -1) + 1e-3))",
    "einsum": "np.sum(np.einsum('ij,jk->ik', a, b) ** 2)",
    "trace": "np.trace(a @ a.T @ a @ a.T)",
    "det": "np.linalg.det(a @ a.T + 3 * np.eye(3))",
    "inverse": "np.sum(np.linalg.inv(a @ a.T + 3 * np.eye(3)))",
    "solve": "np.sum(np.linalg.solve(a @ a.T + 3 * np.eye(3), a) ** 2)",
    "cholesky": "np.sum(np.linalg.cholesky(a @ a.T + 3 * np.eye(3)) ** 3)",
    "sorted": "np.sum(np.sort(a, axis=1)[:, -2:] * np.arange(1.0, 3.0))",
    "cumsum": "np.sum(np.cumsum(a, axis=1) ** 2)",
    "cumprod": "np.sum(np.cumprod(a, axis=0))",
    "product": "np.prod(a[0]) + np.prod(a, axis=1).sum()",
    "extremes": "np.max(a) - np.min(a, axis=0).sum()",
    "gather": "np.sum(np.take(a, np.array([0, 2, 2]), axis=0) * b.T[:3])",
    "slices": "np.sum(a[:, 1:] * a[:, :-1]) + a[-1, 0] * a[0, -1]",
    "concatenate": "np.sum(np.concatenate([a, a * a], axis=1) @ np.concatenate([b, b], axis=0))",
    "stack": "np.sum(np.stack([a, np.flip(a, 1)], axis=0) ** 3)",
    "reshape": "np.sum((np.reshape(a, (4, 3)) @ np.transpose(b)[:3]) ** 2)",
    "pad": "np.sum(np.pad(a, ((1, 1), (2, 0))) * np.arange(30.0).reshape(5, 6))",
    "trigonometry": "np.sum(np.sin(a) * np.cos(a) + np.arctan2(a, 2 + a * a) + np.arcsinh(a))",
    "hyperbolic": "np.sum(np.sinh(a) / np.cosh(a) + np.logaddexp(a, 0.0))",
    "clip": "np.sum(np.clip(a, -0.7, 0.7) ** 2)",
    "second": "np.sum(GRADIENT(lambda c: np.sum(np.tanh(c) ** 3), a) ** 2)",
}
_JAX = """
    import json, sys
    import jax
    jax.config.update("jax_enable_x64", True)
    import jax.numpy as np
    def GRADIENT(f, x): return jax.grad(f)(x)
    given = json.loads(sys.stdin.read())
    a, b = np.array(given["a"]), np.array(given["b"])
    found = {}
    for name, program in given["programs"].items():
        code = compile(program, name, "eval")
        def value(a, b): return eval(code, {"np": np, "a": a, "b": b, "GRADIENT": GRADIENT})
        found[name] = [each.tolist() for each in jax.grad(value, argnums=(0, 1))(a, b)]
    print(json.dumps(found))
"""


def gradient(function, x):
    with GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x)


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(4)
    return rng.normal(size=(3, 4)), rng.normal(size=(4, 5))


@pytest.fixture(scope="module")
def of_jax(arrays):
    peers = Path(os.environ.get("DISTRIB_PEERS", Path.home() / ".cache" / "distrib" / "peers"))
    given = json.dumps({"a": arrays[0].tolist(), "b": arrays[1].tolist(), "programs": PROGRAMS})
    command = [peers / "keras" / "bin" / "python", "-c", textwrap.dedent(_JAX)]
    ended = subprocess.run(command, input=given, capture_output=True, text=True, timeout=55, check=True)
    return json.loads(ended.stdout)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program(program, arrays, of_jax):
    a, b = (as_tensor(each.copy()) for each in arrays)
    names = {"np": np, "a": a, "b": b, "GRADIENT": gradient}
    with GradientTape() as tape:
        tape.watch([a, b])
        value = eval(PROGRAMS[program], names)
    found = tape.gradient(value, [a, b], unconnected_gradients="zero")
    for mine, theirs in zip(found, of_jax[program], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-11)
