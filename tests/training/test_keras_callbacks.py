"""Callbacks are called when Keras calls them, with the logs that Keras gives (scripts/record_keras_callbacks.py)."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.places import PLACES, everywhere

import distrib
from distrib import callbacks, layers

RECORDED = json.loads((Path(__file__).parent / "keras_callbacks.json").read_text())
X, Y = np.array(RECORDED["x"]), np.array(RECORDED["y"])


class AbsoluteError(distrib.metrics.Mean):
    def values(self, y_true, y_pred):
        return np.abs(y_true - y_pred)[:, 0]


def recorder(calls, hooks):
    def record(hook):
        def method(self, *args, **kwargs):
            *at, logs = [*args, *kwargs.values()]
            calls.append([hook, *at, {name: np.asarray(value).tolist() for name, value in logs.items()}])

        return method

    return type("Recorder", (callbacks.Callback,), {hook: record(hook) for hook in hooks})()


def calls_of(hooks):
    def body(strategy):
        calls = []
        model = distrib.Sequential([layers.Input((2,)), layers.Dense(1)], dtype="float64")
        model.compile(distrib.optimizers.SGD(0.1), "mse", metrics=[AbsoluteError("mae")])
        model.set_weights(RECORDED["weights"])
        called = recorder(calls, hooks)
        model.fit(
            X[:4],
            Y[:4],
            batch_size=2,
            epochs=2,
            shuffle=False,
            verbose=0,
            callbacks=[called],
            validation_data=(X[3:], Y[3:]),
            validation_batch_size=2,
        )
        calls.append("evaluate")
        model.evaluate(X, Y, batch_size=4, verbose=0, callbacks=[called])
        calls.append("predict")
        model.predict(X, batch_size=4, verbose=0, callbacks=[called])
        return calls

    return body


@pytest.mark.parametrize("names", RECORDED["calls"])
@pytest.mark.parametrize("place", [each for each in PLACES if each not in ("ps-2", "ps-3")])
def test_every_hook_is_called_as_keras_calls_it(place, names):
    recorded = RECORDED["calls"][names]
    hooks = {call[0] for call in recorded if call not in ("evaluate", "predict")}
    for calls in everywhere(place, calls_of(hooks)):
        assert [each[:-1] for each in calls] == [each[:-1] for each in recorded]
        for found, expected in zip(calls, recorded, strict=True):
            if isinstance(expected, str):
                continue
            assert set(found[-1]) == set(expected[-1]), found
            for name, value in expected[-1].items():
                np.testing.assert_allclose(found[-1][name], value, atol=2e-6, err_msg=str(found))


def test_every_hook_of_keras_is_one_of_ours():
    recorded = {call[0] for calls in RECORDED["calls"].values() for call in calls}
    assert {hook for hook in recorded if hook.startswith("on_")} <= set(dir(callbacks.Callback))


def test_both_names_of_a_hook_may_be_used_by_several_callbacks():
    seen = []

    class Schedule(callbacks.Callback):
        """As in public learning-rate finders."""

        def on_batch_end(self, batch, logs=None):
            self.model.optimizer.learning_rate *= 0.5
            seen.append(("old", batch, sorted(logs)))

    class New(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(("new", batch, sorted(logs)))

    model = distrib.Sequential([layers.Dense(1, input_shape=(2,))])
    model.compile(distrib.optimizers.SGD(0.8), "mse")
    lambdas = callbacks.LambdaCallback(
        on_batch_end=lambda batch, logs: seen.append(("lambda", batch, sorted(logs)))
    )
    model.fit(X, Y, batch_size=3, verbose=0, callbacks=[Schedule(), New(), lambdas])
    assert seen == [(kind, batch, ["loss"]) for batch in (0, 1) for kind in ("old", "new", "lambda")]
    assert model.optimizer.learning_rate == pytest.approx(0.2)
