"""Metrics and losses against Keras (recorded by scripts/record_keras_metrics.py), and over replicas."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.places import PLACES, everywhere
from helpers.replicas import in_one_process

import distrib
from distrib import losses, metrics

KERAS = json.loads((Path(__file__).parent / "keras_metrics.json").read_text())
LEFT_OUT = {"CTC", "Circle", "Dice", "Tversky", "CategoricalGeneralizedCrossEntropy"}


def data(name):
    """As in scripts/record_keras_metrics.py."""
    wave = 0.5 + 0.49 * np.sin(np.arange(72) * 1.7 + 0.3)
    labels = (np.arange(24) * 7) % 3
    if name == "binary":
        return (np.arange(24) % 3 == 0).astype(np.float32)[:, None], wave[:24, None].astype(np.float32)
    if name == "values":
        targets = ((np.cos(np.arange(48)) > 0) * 1.0).reshape(24, 2).astype(np.float32)
        return targets, wave[:48].reshape(24, 2).astype(np.float32)
    rows = wave.reshape(24, 3)
    rows = (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)
    if name == "labels":
        return labels.astype(np.float32), ((np.arange(24) * 5) % 3).astype(np.float32)
    return (np.eye(3, dtype=np.float32)[labels], rows) if name == "one hot" else (labels, rows)


WEIGHTS = (0.5 + (np.arange(24) % 4)).astype(np.float32)


def named(record):
    return f"{record['class']}-{record['arguments']}"


@pytest.mark.parametrize("record", KERAS["metrics"], ids=named)
def test_metrics_are_those_of_keras(record):
    y_true, y_pred = data(record["data"])
    for weight, expected in zip((None, WEIGHTS), record["results"], strict=True):
        metric = getattr(metrics, record["class"])(**record["arguments"])
        for rows in (slice(0, 10), slice(10, 24)):
            metric.update_state(y_true[rows], y_pred[rows], None if weight is None else weight[rows])
        np.testing.assert_allclose(metric.result().numpy(), expected, rtol=2e-5, atol=1e-6)
        metric.reset_states()
        if not np.ndim(expected):
            assert float(metric(y_true, y_pred, weight)) == pytest.approx(expected, rel=2e-5, abs=1e-6)


@pytest.mark.parametrize("record", KERAS["losses"], ids=named)
def test_losses_are_those_of_keras(record):
    y_true, y_pred = data(record["data"])
    loss = getattr(losses, record["class"])(**record["arguments"])
    for weight, expected in zip((None, WEIGHTS), record["results"], strict=True):
        np.testing.assert_allclose(loss(y_true, y_pred, weight).numpy(), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", KERAS["signatures"])
def test_arguments_and_defaults_are_those_of_keras(name):
    module, _, cls = name.rpartition(".")
    if cls in LEFT_OUT:
        assert not hasattr(losses, cls)
        return
    mine = inspect.signature(getattr(losses if module else metrics, cls).__init__).parameters
    for argument, default in KERAS["signatures"][name].items():
        assert argument in mine, argument
        if default is not None and cls != "Loss":
            own = mine[argument].default
            assert repr(own) == default or own == json.loads(default.replace("'", '"').lower())


@pytest.mark.parametrize("record", [r for r in KERAS["losses"] if "Focal" in r["class"]], ids=named)
def test_gradients_of_focal_losses(record):
    y_true, y_pred = (each.astype(np.float64)[:4] for each in data(record["data"]))
    loss = getattr(losses, record["class"])(**record["arguments"])
    targets = loss.prepare(y_true, y_pred.shape[1:], y_pred.dtype)
    loss.forward(targets, y_pred)
    gradient = loss.backward(targets, y_pred).copy()
    flat = y_pred.reshape(-1)
    for index in range(flat.size):
        kept, sides = flat[index], []
        for value in (kept + 1e-6, kept - 1e-6):
            flat[index] = value
            sides.append(float(np.sum(loss.forward(targets, y_pred))))
        flat[index] = kept
        assert gradient.reshape(-1)[index] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-5, abs=1e-7)


class WeightedHits(metrics.Metric):
    """In Keras' style, with variables of two shapes."""

    def __init__(self, name="hits"):
        super().__init__(name=name)
        self.hits = self.add_variable(shape=(3,), initializer="zeros", name="hits")
        self.seen = self.add_weight(name="seen", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        hit = np.argmax(y_pred, axis=-1) == y_true
        weights = np.ones(len(y_true)) if sample_weight is None else sample_weight
        self.hits.assign_add(np.bincount(y_true, hit * weights, minlength=3))
        self.seen.assign_add(np.sum(weights))

    def result(self):
        return np.sum(self.hits.numpy()) / self.seen.numpy()


def largest_is_sure(y_true, y_pred):
    return np.max(y_pred, axis=-1) > 0.5


def classifier(strategy):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(31, 4)), rng.integers(0, 3, 31)
    model = distrib.Sequential(
        [distrib.layers.Dense(3, "softmax", input_shape=(4,))], dtype="float64", seed=1
    )
    model.compile(
        "sgd",
        losses.sparse_categorical_crossentropy,
        metrics=["accuracy", WeightedHits(), largest_is_sure, metrics.sparse_categorical_accuracy],
        weighted_metrics=[WeightedHits("weighted_hits")],
    )
    history = model.fit(x, y, batch_size=8, epochs=2, verbose=0, sample_weight=rng.uniform(0.1, 2, 31))
    return history.history, model.evaluate(x, y, verbose=0, return_dict=True)


def scorer(strategy):
    rng = np.random.default_rng(4)
    x = rng.normal(size=(31, 4))
    y = np.eye(2)[(x[:, 0] + rng.normal(size=31) > 0).astype(int)]
    model = distrib.Sequential(
        [distrib.layers.Dense(2, "sigmoid", input_shape=(4,))], dtype="float64", seed=1
    )
    model.compile(
        distrib.optimizers.Adam(0.05),
        "binary_crossentropy",
        metrics=[
            metrics.AUC(),
            metrics.AUC(curve="PR", name="pr"),
            metrics.F1Score(average="macro"),
            metrics.Precision(),
            metrics.Recall(class_id=1),
            metrics.TruePositives(),
            metrics.R2Score(),
            "RootMeanSquaredError",
            "mae",
            metrics.RecallAtPrecision(0.5, name="bounded"),
        ],
        weighted_metrics=[metrics.AUC(name="weighted_auc"), metrics.F1Score("micro", name="weighted_f1")],
    )
    history = model.fit(x, y, batch_size=8, epochs=2, verbose=0, sample_weight=rng.uniform(0.1, 2, 31))
    return history.history, model.evaluate(x, y, verbose=0, return_dict=True)


@pytest.mark.parametrize("body", [classifier, scorer])
@pytest.mark.parametrize("place", [*PLACES, "mirrored-4"])
def test_metrics_do_not_depend_on_the_replicas(body, place):
    history, tested = in_one_process(body)
    for each in everywhere(place, body):
        assert set(each[0]) == set(history)
        for name, values in history.items():
            np.testing.assert_allclose(each[0][name], values, rtol=1e-12, atol=1e-12, err_msg=name)
        for name, value in tested.items():
            assert each[1][name] == pytest.approx(value, rel=1e-12, abs=1e-12), name


def test_own_metrics_are_measured_as_by_hand():
    history, tested = in_one_process(classifier)
    assert tested["hits"] == pytest.approx(tested["accuracy"], rel=1e-12)
    assert tested["sparse_categorical_accuracy"] == pytest.approx(tested["accuracy"], rel=1e-12)
    assert 0 <= history["largest_is_sure"][-1] <= 1


def test_a_state_in_the_middle_of_an_epoch_is_kept_with_the_sums(tmp_path):
    def run(folder, epochs, stop):
        rng = np.random.default_rng(4)
        x, y = rng.normal(size=(40, 4)), (rng.normal(size=40) > 0) * 1.0
        model = distrib.Sequential(
            [distrib.layers.Dense(1, "sigmoid", input_shape=(4,))], dtype="float64", seed=1
        )
        model.compile("sgd", "binary_crossentropy", metrics=[metrics.AUC(), metrics.Precision()])
        backup = distrib.callbacks.BackupAndRestore(folder, save_freq=1)

        class Stop(distrib.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                if stop and batch == 3:
                    raise KeyboardInterrupt

        return model.fit(x, y, batch_size=8, epochs=epochs, verbose=0, callbacks=[Stop(), backup]).history

    whole = run(tmp_path / "whole", 2, stop=False)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", 2, stop=True)
    assert run(tmp_path / "broken", 2, stop=False) == whole


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: metrics.Precision(thresholds=1.5), r"\[0, 1\]"),
        (lambda: metrics.AUC(curve="XY"), "ROC or PR"),
        (lambda: metrics.AUC(multi_label=True), "multi_label"),
        (lambda: metrics.F1Score(average="all"), "macro"),
        (lambda: metrics.Metric.add_variable(WeightedHits(), initializer="ones"), "start at 0"),
        (lambda: metrics.get("acuracy"), "accuracy"),
        (lambda: losses.MeanSquaredError(reduction="all"), "reduction"),
        (lambda: losses.CategoricalCrossentropy(axis=1), "last axis"),
        (
            lambda: distrib.Sequential([distrib.layers.Dense(1)]).compile(
                "sgd", losses.MeanSquaredError("sum")
            ),
            "sum_over_batch_size",
        ),
    ],
)
def test_what_does_not_fit_is_a_sentence(make, match):
    with pytest.raises(distrib.ConfigError, match=match):
        make()


def test_each_element_of_a_vector_is_in_the_logs(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(40, 4)), np.eye(3)[np.arange(40) % 3]
    model = distrib.Sequential([distrib.layers.Dense(3, "softmax", input_shape=(4,))], dtype="float64")
    model.compile("sgd", "categorical_crossentropy", metrics=[metrics.F1Score(), metrics.Recall([0.6, 0.2])])
    callbacks = [
        distrib.callbacks.TensorBoard(tmp_path / "logs"),
        distrib.callbacks.CSVLogger(tmp_path / "log.csv"),
        distrib.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1),
        distrib.callbacks.EarlyStopping("val_f1_score_1"),
        distrib.callbacks.ModelCheckpoint(tmp_path / "best", monitor="val_recall_0", save_best_only=True),
    ]
    history = model.fit(x, y, epochs=2, callbacks=callbacks, validation_split=0.2).history
    assert {"f1_score_0", "f1_score_1", "f1_score_2", "recall_0", "recall_1", "val_recall_1"} < set(history)
    assert history["recall_0"][-1] <= history["recall_1"][-1], "in the order of the thresholds"
    score = metrics.F1Score()
    score.update_state(y, model.predict(x, verbose=0))
    tested = model.evaluate(x, y, verbose=0, return_dict=True)
    np.testing.assert_allclose(
        [tested[f"f1_score_{index}"] for index in range(3)], score.result(), rtol=1e-12
    )
