"""Record what Keras calls a callback with, for tests/training/test_keras_callbacks.py.

    KERAS_BACKEND=jax python scripts/record_keras_callbacks.py > tests/training/keras_callbacks.json

needs keras, which the tests themselves do not.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

HOOKS = [name for name in dir(keras.callbacks.Callback) if name.startswith("on_")]
OLD = {"on_batch_begin": "on_train_batch_begin", "on_batch_end": "on_train_batch_end"}


def recorder(calls: list[Any], hooks: Sequence[str]) -> keras.callbacks.Callback:
    """A callback that records the hooks it overrides."""

    def record(hook: str) -> Callable[..., None]:
        def method(self: Any, *args: Any, **kwargs: Any) -> None:
            *at, logs = [*args, *kwargs.values()]
            calls.append([hook, *at, {name: plain(value) for name, value in logs.items()}])

        return method

    return type("Recorder", (keras.callbacks.Callback,), {hook: record(hook) for hook in hooks})()


def plain(value: Any) -> Any:
    return np.asarray(value, dtype=float).round(6).tolist()


def main() -> None:
    """Train, evaluate and predict with a linear model of known weights."""
    x = np.arange(12, dtype="float32").reshape(6, 2) / 10
    y = np.array([[0.0], [1.0], [0.0], [2.0], [1.0], [3.0]], dtype="float32")
    weights = [np.array([[0.5], [-0.25]], dtype="float32"), np.array([0.1], dtype="float32")]

    def model() -> keras.Sequential:
        made = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
        made.compile(keras.optimizers.SGD(0.1), "mse", metrics=["mae"])
        made.set_weights(weights)
        return made

    found: dict[str, Any] = {
        "x": x.tolist(),
        "y": y.tolist(),
        "weights": [each.tolist() for each in weights],
        "calls": {},
    }
    for name, hooks in (
        ("new names", [hook for hook in HOOKS if hook not in OLD]),
        ("old names", [hook for hook in HOOKS if hook not in OLD.values()]),
    ):
        calls: list[Any] = []
        called, made = recorder(calls, hooks), model()
        made.fit(
            x[:4], y[:4], batch_size=2, epochs=2, shuffle=False, verbose=0, callbacks=[called],
            validation_data=(x[3:], y[3:]), validation_batch_size=2,
        )  # fmt: skip
        calls.append("evaluate")
        made.evaluate(x, y, batch_size=4, verbose=0, callbacks=[called])
        calls.append("predict")
        made.predict(x, batch_size=4, verbose=0, callbacks=[called])
        found["calls"][name] = calls
    json.dump({"keras": keras.__version__, **found}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
