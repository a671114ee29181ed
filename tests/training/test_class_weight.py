"""Class weights: they count in training only, and what fits no label is an error."""

import numpy as np
import pytest
from helpers.places import PLACES, everywhere

import distrib
from distrib import layers

X = np.random.default_rng(1).normal(size=(64, 5))
Y = (X[:, 0] > 0.3).astype(int)
WEIGHTS = {0: 1.0, 1: 20.0}


def make_model(dtype="float64", rate=0.05):
    model = distrib.Sequential(
        [layers.Input((5,)), layers.Dense(4, activation="tanh"), layers.Dense(2, activation="softmax")],
        dtype=dtype,
        seed=3,
    )
    model.compile(
        distrib.optimizers.SGD(rate),
        "sparse_categorical_crossentropy",
        weighted_metrics=[distrib.metrics.SparseCategoricalAccuracy("weighted")],
    )
    return model


def fit(**kwargs):
    def body(strategy):
        model = make_model()
        history = model.fit(X, Y, batch_size=16, epochs=2, verbose=0, **kwargs).history
        return history, model.evaluate(X[32:], Y[32:], verbose=0, return_dict=True)

    return body


@pytest.mark.parametrize("place", PLACES)
def test_validation_split_is_measured_without_class_weights(place):
    for history, tested in everywhere(place, fit(validation_split=0.5, class_weight=WEIGHTS)):
        # `evaluate` of the same rows with the last values; under parameter servers too, in sync mode.
        assert history["val_loss"][-1] == pytest.approx(tested["loss"], rel=1e-12)
        assert history["val_weighted"][-1] == tested["weighted"]
        assert history["loss"][0] > 3 * history["val_loss"][0], "the training was weighted"


def test_validation_split_and_validation_data_are_the_same():
    split, _ = fit(validation_split=0.5, class_weight=WEIGHTS)(None)

    model = make_model()
    data = model.fit(
        X[:32],
        Y[:32],
        batch_size=16,
        epochs=2,
        verbose=0,
        class_weight=WEIGHTS,
        validation_data=(X[32:], Y[32:]),
    )
    assert split == data.history


@pytest.mark.parametrize("place", ["mirrored-1", "mirrored-3", "ps-2"])
def test_sample_weights_are_split_with_the_rows(place):
    weight = np.linspace(0.1, 4.0, 64)

    def body(strategy):
        model = make_model()
        history = model.fit(X, Y, validation_split=0.25, sample_weight=weight, verbose=0).history
        return history, model.evaluate(X[48:], Y[48:], sample_weight=weight[48:], verbose=0, return_dict=True)

    for history, tested in everywhere(place, body):
        assert history["val_loss"][0] == pytest.approx(tested["loss"], rel=1e-12)
        assert history["val_weighted"][0] == pytest.approx(tested["weighted"], rel=1e-12)


@pytest.mark.parametrize(
    ("class_weight", "words"),
    [
        ({"0": 5.0}, "Received the label '0' of type str"),
        ({0.5: 5.0}, "Received the label 0.5 of type float"),
        ({7: 5.0}, "label 7, which no example has"),
        ({-1: 5.0}, "label -1, which no example has"),
        ({0: "5"}, "Received for label 0: '5'"),
        ({0: float("nan")}, "Received for label 0: nan"),
        ({0: -1.0}, "Received for label 0: -1.0"),
        ({0: None}, "Received for label 0: None"),
        ([1.0, 5.0], "Received: .* of type list"),
        ("balanced", "Received: 'balanced' of type str"),
    ],
)
@pytest.mark.parametrize("call", ["fit", "train_on_batch"])
def test_class_weights_that_fit_no_label_are_errors(call, class_weight, words):
    model = make_model()
    before = model.get_weights() if model.built else None
    with pytest.raises(distrib.ConfigError, match=words):
        getattr(model, call)(X, Y, class_weight=class_weight)
    assert before is None or all(map(np.array_equal, before, model.get_weights()))


def test_labels_that_this_batch_lacks_are_no_errors():
    model = make_model()
    model.train_on_batch(X[:4], np.zeros(4, int), class_weight=WEIGHTS)
    one_hot = distrib.Sequential([layers.Dense(3, activation="softmax", input_shape=(5,))])
    one_hot.compile("sgd", "categorical_crossentropy")
    one_hot.fit(X[:4], np.eye(3)[[0, 1, 0, 1]], class_weight={2: 3.0}, verbose=0)
