"""Evaluations and predictions besides a training leave it alone, in callbacks and in threads."""

import threading

import numpy as np
import pytest
from helpers.places import PLACES, everywhere
from helpers.replicas import in_one_process

import distrib
from distrib import callbacks, layers

rng = np.random.default_rng(5)
X, Y = rng.normal(size=(48, 6)), rng.integers(0, 3, 48)
OTHER_X, OTHER_Y = rng.normal(size=(17, 6)), rng.integers(0, 3, 17)
HOOKS = [
    "on_train_begin",
    "on_epoch_begin",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_end",
    "on_epoch_end",
    "on_train_end",
]
OF_EPOCHS = ("on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end")


def make_model(seed=7, width=8):
    model = distrib.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(width, activation="tanh"),
            layers.Dropout(0.3),
            layers.Dense(3, activation="softmax"),
        ],
        dtype="float64",
        seed=seed,
    )
    model.compile(distrib.optimizers.Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
    return model


class Measure(callbacks.Callback):
    """Evaluates and predicts other examples in one hook."""

    def __init__(self, hook):
        super().__init__()
        self.results = []
        self._is_busy = False
        setattr(self, hook, self._measure)

    def _measure(self, *args, **kwargs):
        if self._is_busy:
            return
        self._is_busy = True
        tested = self.model.evaluate(OTHER_X, OTHER_Y, verbose=0)
        predicted = self.model.predict(OTHER_X, verbose=0)
        self._is_busy = False
        chosen = predicted[np.arange(17), OTHER_Y]
        np.testing.assert_allclose(tested[0], -np.log(chosen).mean(), rtol=1e-9)
        self.results.append(tested)


def train(*called):
    def body(strategy):
        model = make_model()
        history = model.fit(
            X, Y, batch_size=12, epochs=3, verbose=0, callbacks=list(called), validation_data=(X[:9], Y[:9])
        )
        return history.history, model.get_weights()

    return body


@pytest.mark.parametrize(
    ("place", "hook"),
    [
        (place, hook)
        for place in PLACES
        for hook in HOOKS
        if hook in OF_EPOCHS or (place in ("mirrored-1", "mirrored-3", "central-2"))
    ],
)
def test_what_is_measured_in_a_callback_changes_nothing(place, hook):
    def measuring(strategy):
        measure = Measure(hook)
        results = train(measure)(strategy)
        assert measure.results, "the hook was called"
        return results

    without, measured = everywhere(place, train()), everywhere(place, measuring)
    for (history, weights), (with_history, with_weights) in zip(without, measured, strict=True):
        assert history == with_history
        assert all(map(np.array_equal, weights, with_weights))


def test_means_of_train_on_batch_go_on_after_an_evaluation():
    def means(evaluates):
        model = make_model()
        found = []
        for step in range(4):
            found.append(model.train_on_batch(X[step * 8 : step * 8 + 8], Y[step * 8 : step * 8 + 8]))
            if evaluates:
                model.evaluate(OTHER_X, OTHER_Y, verbose=0)
                model.predict(OTHER_X, verbose=0)
        return found

    assert means(False) == means(True)


def test_an_evaluation_within_an_epoch_is_refused_where_workers_do_not_meet():
    def body(strategy):
        train(Measure("on_train_batch_end"))(strategy)

    with pytest.raises(distrib.ConfigError, match="workers do not meet within an epoch"):
        everywhere("ps-1", body)


def test_a_thread_may_predict_and_evaluate_while_fit_runs():
    # Larger layers spend their time outside of the interpreter's lock, so the threads truly overlap.
    big_x = rng.normal(size=(512, 6))
    big_y = rng.integers(0, 3, 512)

    def fit(model, callbacks=()):
        history = model.fit(big_x, big_y, batch_size=64, epochs=12, verbose=0, callbacks=callbacks).history
        return history, model.get_weights()

    expected = fit(make_model(width=256))
    model = make_model(width=256)
    model.build((None, 6))
    calls, failures, is_over = [0], [], threading.Event()
    at_work = threading.Semaphore(0)

    class WaitForTheThread(distrib.callbacks.Callback):
        """Begins an epoch when the thread has completed one more round of calls, so that both overlap."""

        def on_epoch_begin(self, epoch, logs=None):
            assert at_work.acquire(timeout=60)

    first = model.predict(big_x[:3], verbose=0)

    def disturb():
        try:
            while not is_over.is_set():
                predicted = model.predict(big_x, batch_size=512, verbose=0)
                np.testing.assert_allclose(predicted.sum(axis=1), 1.0, rtol=1e-9)
                model.evaluate(OTHER_X, OTHER_Y, verbose=0)
                calls[0] += 1
                at_work.release()
        except BaseException as error:
            failures.append(error)
            at_work.release(100)

    thread = threading.Thread(target=disturb)
    thread.start()
    found = fit(model, [WaitForTheThread()])
    is_over.set()
    thread.join()
    assert not failures
    assert calls[0] >= 12, "the thread was at work meanwhile"
    assert found[0] == expected[0]
    assert all(map(np.array_equal, found[1], expected[1]))
    assert not np.array_equal(model.predict(big_x[:3], verbose=0), first)


class Call(callbacks.Callback):
    """Calls something at the end of the first batch, perhaps in another thread."""

    def __init__(self, function, in_thread=False):
        super().__init__()
        self.function, self.in_thread, self.error = function, in_thread, None

    def on_train_batch_end(self, batch, logs=None):
        if self.in_thread:
            thread = threading.Thread(target=self._call)
            thread.start()
            thread.join()
        else:
            self._call()

    def _call(self):
        try:
            self.function(self.model)
        except distrib.ConfigError as error:
            self.error = error


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize(
    "function",
    [
        lambda model: model.fit(X, Y, verbose=0),
        lambda model: model.train_on_batch(X[:8], Y[:8]),
        lambda model: model.compile("sgd", "sparse_categorical_crossentropy"),
        lambda model: model.add(layers.Dense(3)),
        lambda model: model.pop(),
    ],
    ids=["fit", "train_on_batch", "compile", "add", "pop"],
)
def test_a_model_is_trained_by_one_fit_at_a_time(function, in_thread):
    call = Call(function, in_thread)
    history, weights = in_one_process(train(call))
    assert "is being trained by fit" in str(call.error)
    expected_history, expected = in_one_process(train())
    assert history == expected_history
    assert all(map(np.array_equal, weights, expected))


def test_after_a_fit_that_failed_the_next_may_begin():
    def fail(model):
        raise KeyError("no luck")

    with pytest.raises(KeyError):
        in_one_process(train(callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: fail(None))))
    model = make_model()
    with pytest.raises(KeyError):
        model.fit(X, Y, verbose=0, callbacks=[callbacks.LambdaCallback(on_epoch_end=lambda e, logs: fail(0))])
    model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("place", ["mirrored-2", "ps-2"])
def test_an_evaluation_of_all_replicas_in_another_thread_is_refused(place):
    def body(strategy):
        call = Call(lambda model: model.evaluate(X, Y, verbose=0), in_thread=True)
        train(call)(strategy)
        return str(call.error)

    assert all("in another thread" in error for error in everywhere(place, body))
