"""EarlyStopping, CSVLogger and the others, against what was computed by hand, and as every strategy has them."""

import csv
import itertools
import math
import time

import numpy as np
import pytest
from helpers.ps import on_workers
from helpers.replicas import in_one_process, on_replicas

import distrib
from distrib import callbacks, layers

rng = np.random.default_rng(3)
X, Y = rng.normal(size=(24, 4)), rng.integers(0, 3, 24)


def make_model(optimizer="sgd", metrics=("accuracy",), **compiled):
    model = distrib.Sequential(
        [layers.Dense(3, activation="softmax", input_shape=(4,))], dtype="float64", seed=5
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics, **compiled)
    return model


class Script(callbacks.Callback):
    """Puts given values into the logs of the epochs, before the callbacks after it see them."""

    def __init__(self, **values):
        super().__init__()
        self.values = values
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())
        for name, values in self.values.items():
            logs[name] = values[epoch]


def fit(*called, epochs=10, **kwargs):
    model = make_model()
    arguments = {"batch_size": 8, "verbose": 0, "epochs": epochs} | kwargs
    return model, model.fit(X, Y, callbacks=list(called), **arguments)


def epochs_of(losses, **arguments):
    """How many epochs are trained if these are the losses."""
    stopping = callbacks.EarlyStopping("val_loss", **arguments)
    _, history = fit(Script(val_loss=losses), stopping, epochs=len(losses))
    return len(history.epoch), stopping


class TestEarlyStopping:
    @pytest.mark.parametrize(
        ("losses", "arguments", "epochs"),
        [
            ([3, 2, 1, 1, 0], {}, 4),
            ([3, 2, 1, 0.5, 0], {}, 5),
            ([3, 2, 2, 2, 1], {"patience": 2}, 4),
            ([3, 2, 2, 1, 1, 1], {"patience": 2}, 6),
            ([3, 2.9, 2.8, 2.7], {"min_delta": 0.5}, 2),
            ([3, 2.4, 1.8, 1.2], {"min_delta": 0.5}, 4),
            ([3, 2.4, 1.8, 1.2], {"min_delta": -0.5}, 4),  # its sign does not matter
            ([1, 2, 3, 3], {"mode": "max"}, 4),
            ([1, 2, 3, 2], {"mode": "min"}, 2),
            ([3, 2, 1, 0], {"baseline": 0.5, "patience": 2}, 4),
            ([3, 4, 1, 0], {"baseline": 0.5, "patience": 2}, 2),
            ([3, 4, 5, 0], {"baseline": 0.5, "patience": 2}, 2),
            ([1, 2, 3, 2, 3], {"start_from_epoch": 2}, 5),
            ([1, 2, 3, 4, 3], {"start_from_epoch": 2}, 4),
            ([math.nan, 2, 1], {}, 3),  # any number is better than NaN
            ([math.nan, 2, 3, 3], {"patience": 1}, 3),
            ([3, math.nan, math.nan, 2], {"patience": 2}, 3),
            ([math.nan] * 4, {"patience": 2}, 2),
            ([math.nan, 2, 3, 1], {"mode": "max", "patience": 1}, 4),
            ([math.nan, 2, 1], {"baseline": math.nan}, 3),
            ([1, math.nan, 0.5], {"patience": 2}, 3),
            ([1, 1], {"patience": 0}, 2),
        ],
    )
    def test_stops_where_keras_does(self, losses, arguments, epochs):
        assert epochs_of(losses, **arguments)[0] == epochs

    @pytest.mark.parametrize(
        "losses", [[math.nan, 3, 1, 2], [3, math.nan, 1, math.nan], [math.inf, math.nan, 1, 2]]
    )
    def test_nan_is_never_the_best(self, losses, tmp_path):
        script = Script(val_loss=losses)
        stopping = callbacks.EarlyStopping(patience=9, restore_best_weights=True)
        plateau = callbacks.ReduceLROnPlateau(patience=9)
        saving = callbacks.ModelCheckpoint(tmp_path / "best", save_best_only=True)
        model, _ = fit(script, stopping, plateau, saving, epochs=4)
        assert (stopping.best, plateau.best, saving.best) == (1, 1, 1)
        assert stopping.best_epoch == 2
        best = script.weights[2][0]
        np.testing.assert_array_equal(model.get_weights()[0], best)
        np.testing.assert_array_equal(distrib.load_model(tmp_path / "best").get_weights()[0], best)

    def test_nothing_but_nan_has_no_best(self, tmp_path):
        plateau = callbacks.ReduceLROnPlateau(patience=2)
        saving = callbacks.ModelCheckpoint(tmp_path / "best", save_best_only=True)
        model, _ = fit(Script(val_loss=[math.nan] * 3), plateau, saving, epochs=3)
        assert (plateau.best, saving.best) == (None, None)
        assert model.optimizer.learning_rate == pytest.approx(0.001), (
            "lowered after two epochs without a better value"
        )
        assert not (tmp_path / "best").exists()

    def test_restores_the_best_weights(self, capsys):
        script = Script(val_loss=[3, 1, 2, 2, 0])
        stopping = callbacks.EarlyStopping(patience=2, restore_best_weights=True, verbose=1)
        model, history = fit(script, stopping)
        assert history.epoch == [0, 1, 2, 3]
        assert (stopping.best, stopping.best_epoch, stopping.stopped_epoch) == (1, 1, 3)
        for mine, best, last in zip(model.get_weights(), script.weights[1], script.weights[3], strict=True):
            assert mine.tobytes() == best.tobytes() != last.tobytes()
        assert capsys.readouterr().out == (
            "Epoch 4: early stopping\nRestoring model weights from the end of the best epoch: 2.\n"
        )

    def test_restores_also_when_all_epochs_were_trained(self):
        script = Script(val_loss=[3, 1, 2])
        model, history = fit(script, callbacks.EarlyStopping(patience=9, restore_best_weights=True), epochs=3)
        assert len(history.epoch) == 3
        assert model.get_weights()[0].tobytes() == script.weights[1][0].tobytes()

    def test_the_mode_is_that_of_the_metric(self):
        called = callbacks.EarlyStopping("val_accuracy")
        assert len(fit(Script(val_accuracy=[0.1, 0.2, 0.3, 0.3]), called, epochs=4)[1].epoch) == 4
        assert len(fit(Script(val_accuracy=[0.3, 0.2, 0.3, 0.3]), called, epochs=4)[1].epoch) == 2
        assert len(fit(Script(accuracy=[0.3, 0.2]), callbacks.EarlyStopping("accuracy"))[1].epoch) == 2

    def test_what_nobody_can_say_is_refused(self):
        with pytest.raises(
            distrib.ConfigError, match=r"EarlyStopping callback received monitor=speed.*Pass `mode='max'`"
        ):
            fit(Script(speed=[1] * 9), callbacks.EarlyStopping("speed"))
        assert len(fit(Script(speed=[2, 1, 3]), callbacks.EarlyStopping("speed", mode="max"))[1].epoch) == 2

    def test_an_unknown_mode_falls_back_with_a_warning(self):
        with pytest.warns(UserWarning, match="EarlyStopping mode 'less' is unknown, fallback to auto mode"):
            assert callbacks.EarlyStopping(mode="less").mode == "auto"

    def test_a_quantity_that_is_not_there_is_said(self):
        with pytest.warns(
            UserWarning,
            match="Early stopping conditioned on metric `val_loss` which is not available. "
            "Available metrics are: accuracy,loss",
        ):
            assert len(fit(callbacks.EarlyStopping(), epochs=2)[1].epoch) == 2

    def test_may_be_used_again(self):
        stopping = callbacks.EarlyStopping(patience=1)
        for _ in range(2):
            assert len(fit(Script(val_loss=[2, 1, 1, 1]), stopping)[1].epoch) == 3


def early_stopped(strategy):
    """Trains until the loss of validation rises, restores, and goes on."""
    model = make_model(distrib.optimizers.SGD(2.0))
    seen, look = (
        [],
        callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.get_weights())),
    )
    stopping = callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    history = model.fit(
        X,
        Y,
        batch_size=8,
        epochs=60,
        verbose=0,
        validation_data=(X[::-1], (Y + 1) % 3),
        callbacks=[look, stopping],
    )
    restored = model.get_weights()
    tested = model.evaluate(X, Y, verbose=0)
    after = model.get_weights()
    more = model.fit(X, Y, batch_size=8, epochs=1, verbose=0)
    return history.history, stopping.best_epoch, restored, seen, tested, after, more.history


@pytest.mark.parametrize("kind", ["ring", "shared_memory", "central", "ps", "ps shared"])
def test_all_replicas_stop_and_restore_alike(kind):
    one = in_one_process(early_stopped)
    if kind.startswith("ps"):
        results = on_workers(2, early_stopped, 2, share_memory="shared" in kind)
    else:
        results = on_replicas(2, early_stopped, kind=kind)
    for history, best_epoch, restored, seen, tested, after, more in results:
        assert len(history["loss"]) == len(one[0]["loss"]) < 60
        assert best_epoch == one[1] == len(seen) - 3
        assert [a.tobytes() for a in restored] == [a.tobytes() for a in seen[best_epoch]]
        assert [a.tobytes() for a in after] == [a.tobytes() for a in restored]
        for mine, of_one in ((history, one[0]), (more, one[6])):
            for name in of_one:
                np.testing.assert_allclose(mine[name], of_one[name], rtol=1e-9)
        np.testing.assert_allclose(tested, one[4], rtol=1e-9)


def test_async_workers_stop_together_and_go_on_from_the_chiefs_weights():
    def body(strategy):
        model = make_model()
        stopping = callbacks.EarlyStopping("val_loss", patience=1, restore_best_weights=True)
        script = Script(val_loss=[3, 2, 1, 2, 0])
        history = model.fit(X, Y, batch_size=4, epochs=5, verbose=0, callbacks=[script, stopping])
        restored = model.get_weights()
        model.evaluate(X, Y, verbose=0)
        return history.epoch, restored, model.get_weights()

    results = on_workers(3, body, mode="async")
    chief_restored = results[0][1]
    for epochs, _, after in results:
        assert epochs == [0, 1, 2, 3]
        assert [a.tobytes() for a in after] == [a.tobytes() for a in chief_restored]


class TestCSVLogger:
    def test_a_line_an_epoch(self, tmp_path):
        path = tmp_path / "log.csv"
        _, history = fit(callbacks.CSVLogger(path), epochs=3, validation_data=(X, Y))
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
        for name, values in history.history.items():
            assert [float(row[name]) for row in rows] == values
        assert [row["epoch"] for row in rows] == ["0", "1", "2"]

    def test_what_is_not_there_is_na(self, tmp_path):
        path = tmp_path / "log.csv"
        fit(
            callbacks.CSVLogger(str(path), separator=";"), epochs=2, validation_data=(X, Y), validation_freq=2
        )
        header, first, second = path.read_bytes().decode().split("\r\n")[:3]
        assert header == "epoch;accuracy;loss;val_accuracy;val_loss"
        assert first.endswith(";NA;NA")
        assert "NA" not in second

    def test_appends_or_overwrites(self, tmp_path):
        path = tmp_path / "log.csv"
        for append, lines in ((True, 3), (True, 5), (False, 3)):
            fit(callbacks.CSVLogger(path, append=append), epochs=2)
            assert len(path.read_text().splitlines()) == lines
            assert path.read_text().count("epoch") == 1

    def test_each_line_is_there_when_its_epoch_ends(self, tmp_path):
        path, seen = tmp_path / "log.csv", []
        look = callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append(len(path.read_text().splitlines()))
        )
        fit(callbacks.CSVLogger(path), look, epochs=3)
        assert seen == [2, 3, 4]

    def test_no_folder_is_a_storage_error(self, tmp_path):
        with pytest.raises(distrib.StorageError, match=r"CSVLogger cannot write .*none/log\.csv"):
            fit(callbacks.CSVLogger(tmp_path / "none" / "log.csv"))

    def test_the_chief_writes(self, tmp_path):
        path = tmp_path / "log.csv"

        def body(strategy):
            make_model().fit(X, Y, epochs=2, verbose=0, callbacks=[callbacks.CSVLogger(path)])

        on_replicas(2, body)
        assert len(path.read_text().splitlines()) == 3
        on_workers(2, body)
        assert len(path.read_text().splitlines()) == 3


class TestTerminateOnNaN:
    def diverging(self, *called, epochs=5):
        model = make_model(distrib.optimizers.SGD(1.0), on_nonfinite="allow")
        x = X.copy()
        x[:] = np.where(np.arange(24)[:, None] == 9, np.inf, x)  # in the second batch of 8
        seen = []
        look = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
        history = model.fit(
            x, Y, batch_size=8, epochs=epochs, shuffle=False, verbose=0, callbacks=[*called, look]
        )
        return history, seen

    @pytest.mark.filterwarnings("ignore::RuntimeWarning")
    def test_stops_after_the_batch(self, capsys):
        history, seen = self.diverging(callbacks.TerminateOnNaN())
        assert (history.epoch, seen) == ([0], [0, 1])
        assert capsys.readouterr().out == "Batch 1: Invalid loss, terminating training\n"

    @pytest.mark.filterwarnings("ignore::RuntimeWarning")
    def test_raises(self):
        with pytest.raises(
            distrib.NonFiniteError, match=r"NaN or Inf loss encountered at batch 1\. Loss value: nan"
        ):
            self.diverging(callbacks.TerminateOnNaN(raise_error=True))

    @pytest.mark.filterwarnings("ignore::RuntimeWarning")
    @pytest.mark.parametrize("kind", ["ring", "central", "ps", "async"])
    def test_all_replicas_stop_together(self, kind):
        def body(strategy):
            return self.diverging(callbacks.TerminateOnNaN())[0].epoch

        if kind in ("ring", "central"):
            assert on_replicas(2, body, kind=kind) == [[0], [0]]
        else:
            assert on_workers(2, body, mode={"ps": "sync"}.get(kind, kind)) == [[0], [0]]


class TestLearningRate:
    def test_the_schedule_is_followed(self, capsys):
        schedule = callbacks.LearningRateScheduler(lambda epoch, rate: rate if epoch < 2 else rate / 2, 1)
        _, history = fit(schedule, epochs=4)
        assert history.history["learning_rate"] == [0.01, 0.01, 0.005, 0.0025]
        assert "\nEpoch 3: LearningRateScheduler setting learning rate to 0.005.\n" in capsys.readouterr().out

    def test_a_schedule_of_the_epoch_only(self):
        _, history = fit(callbacks.LearningRateScheduler(lambda epoch: 0.5**epoch), epochs=3)
        assert history.history["learning_rate"] == [1.0, 0.5, 0.25]

    @pytest.mark.parametrize("wrong", [1, "0.1", None, math.nan, -0.1, math.inf])
    def test_no_rate_is_refused(self, wrong):
        with pytest.raises(distrib.ConfigError, match=f"output of the `schedule` function.*Got: {wrong}"):
            fit(callbacks.LearningRateScheduler(lambda epoch, rate: wrong))

    @pytest.mark.parametrize("kind", ["one", "ring", "central", "ps", "ps shared", "async", "slow chief"])
    def test_counts_from_the_next_step(self, kind):
        """A rate of 0 stands still, wherever the optimizer is; momentum would show a step that was late."""
        rates = [0.5, 0.0, 0.25, 0.0]

        def body(strategy):
            model = make_model(distrib.optimizers.SGD(0.1))
            script = Script()
            model.fit(
                X,
                Y,
                batch_size=1,  # so that some updates under ps-sync are without the chief
                epochs=4,
                verbose=0,
                callbacks=[
                    callbacks.LearningRateScheduler(lambda epoch: rates[epoch]),
                    script,
                    Slow(kind, strategy),
                ],
            )
            return script.weights

        if kind == "one":
            results = [in_one_process(body)]
        elif kind in ("ring", "central"):
            results = on_replicas(2, body, kind=kind)
        else:
            mode = "async" if kind in ("async", "slow chief") else "sync"
            results = on_workers(2, body, share_memory=kind == "ps shared", mode=mode)
        first, second, third, fourth = [[weight.tobytes() for weight in epoch] for epoch in results[0]]
        assert first == second != third == fourth

    def test_set_in_a_batch_it_counts_from_the_next_batch(self):
        class Stop(callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                self.model.optimizer.learning_rate = 0.0

        def body(strategy, epochs=3):
            model = make_model(distrib.optimizers.SGD(0.1))
            before = model.get_weights()
            model.fit(X, Y, batch_size=24, epochs=epochs, shuffle=False, verbose=0, callbacks=[Stop()])
            return sum(float(np.abs(a - b).sum()) for a, b in zip(model.get_weights(), before, strict=True))

        one_step = in_one_process(lambda strategy: body(strategy, epochs=1))
        assert one_step > 0
        for results in ([in_one_process(body)], on_replicas(2, body), on_workers(2, body)):
            np.testing.assert_allclose(results, one_step, rtol=1e-9)


class Slow(callbacks.Callback):
    """A chief that comes late to every batch, in the case that is about it."""

    def __init__(self, kind, strategy):
        super().__init__()
        self.sleeps = kind == "slow chief" and strategy.is_chief

    def on_train_batch_begin(self, batch, logs=None):
        if self.sleeps:
            time.sleep(0.05)


class TestReduceLROnPlateau:
    def rates(self, losses, **arguments):
        called = callbacks.ReduceLROnPlateau("val_loss", **({"factor": 0.1, "patience": 2} | arguments))
        _, history = fit(Script(val_loss=losses), called, epochs=len(losses))
        return [round(rate / 0.01, 9) for rate in history.history["learning_rate"]]

    def test_lowers_after_patience(self):
        assert self.rates([3, 2, 2, 2, 2, 2, 2]) == [1, 1, 1, 1, 0.1, 0.1, 0.01]

    def test_min_delta_cooldown_and_the_lowest_rate(self):
        assert self.rates([3, 2.99, 2.98, 2.97], min_delta=0.5) == [1, 1, 1, 0.1]
        assert self.rates([2] * 8, cooldown=2) == [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]
        assert self.rates([2] * 7, min_lr=0.004) == [1, 1, 1, 0.4, 0.4, 0.4, 0.4]
        assert self.rates([1, 2, 3, 4, 5], mode="max") == [1] * 5

    def test_says_so(self, capsys):
        self.rates([2] * 4, verbose=1)
        assert "\nEpoch 3: ReduceLROnPlateau reducing learning rate to 0.001.\n" in capsys.readouterr().out

    def test_bad_arguments(self):
        with pytest.raises(
            distrib.ConfigError, match=r"does not support a factor >= 1\.0\. Received factor=1\.5"
        ):
            callbacks.ReduceLROnPlateau(factor=1.5)
        with pytest.warns(UserWarning, match="Learning rate reduction is conditioned on metric `val_loss`"):
            fit(callbacks.ReduceLROnPlateau(), epochs=1)


def test_lambda_callback_calls_what_it_is_given():
    calls = []
    called = callbacks.LambdaCallback(
        on_train_begin=lambda logs=None: calls.append("begin"),
        on_epoch_begin=lambda epoch, logs=None: calls.append(epoch),
        on_train_batch_end=None,
        on_test_end=lambda logs: calls.append(sorted(logs)),
    )
    fit(called, epochs=2, validation_data=(X, Y))
    assert calls == ["begin", 0, ["accuracy", "loss"], 1, ["accuracy", "loss"]]
    with pytest.raises(
        distrib.ConfigError, match=r"LambdaCallback has no argument on_epoch_and.*Did you mean on_epoch_end"
    ):
        callbacks.LambdaCallback(on_epoch_and=print)


@pytest.mark.parametrize("kind", ["ring", "shared_memory", "central", "ps", "async"])
@pytest.mark.parametrize("victim", [0, 1])
def test_one_replica_stops_all(kind, victim):
    """By a signal, a clock or a file that the others do not see. Around parameter servers it has to be the chief."""

    def body(strategy):
        def stop(epoch, logs=None):
            if (epoch, strategy.replica_id) == (1, victim):
                model.stop_training = True

        model = make_model()
        called = [callbacks.LambdaCallback(on_epoch_end=stop)]
        history = model.fit(X, Y, batch_size=8, epochs=4, verbose=0, callbacks=called)
        return history.epoch, model.evaluate(X, Y, verbose=0)

    if kind in ("ps", "async"):
        results = on_workers(2, body, mode={"ps": "sync"}.get(kind, kind))
    else:
        results = on_replicas(2, body, kind=kind)
    assert results[0] == results[1]
    assert results[0][0] == ([0, 1, 2, 3] if kind in ("ps", "async") and victim else [0, 1])


def test_stop_training_in_a_batch_ends_the_epoch_there():
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)
            self.model.stop_training = batch == 1

    seen = []
    _, history = fit(Stop(), epochs=3, validation_data=(X, Y))
    assert seen == [0, 1]
    assert history.epoch == [0]
    assert "val_loss" in history.history


def test_callbacks_hear_of_a_failure():
    class Fail(callbacks.Callback):
        def on_train_failed(self, error):
            heard.append(error)
            raise OSError("and another one")

    def fail(batch, logs=None):
        raise ValueError("a bug of the user")

    heard, counted = [], itertools.count()
    other = callbacks.LambdaCallback(on_train_failed=lambda error: next(counted))
    with pytest.raises(ValueError, match="a bug of the user") as raised:
        fit(Fail(), callbacks.LambdaCallback(on_train_batch_end=fail), other)
    assert heard == [raised.value]
    assert next(counted) == 1
