"""The contract: n replicas train what one process trains (design, section 2)."""

import hashlib

import numpy as np
import pytest
from helpers.optimizers import CONTINUOUS, OPTIMIZERS
from helpers.replicas import KINDS, difference, in_one_process, on_replicas
from hypothesis import given, settings
from hypothesis import strategies as st

import distrib
from distrib import layers, regularizers

STEPS = 20


def data(num_examples, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_examples, 6))
    return x, rng.integers(0, 3, num_examples), rng.uniform(0.2, 3.0, num_examples)


def make_model(dtype, optimizer, smooth=True, dropout=0.0, l2=0.0):
    penalty = regularizers.L2(l2) if l2 else None
    model = distrib.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(9, activation="tanh" if smooth else "relu", kernel_regularizer=penalty),
            layers.Dropout(dropout),
            layers.Dense(3, activation="softmax"),
        ],
        dtype=dtype,
    )
    model.compile(
        OPTIMIZERS[optimizer](),
        "sparse_categorical_crossentropy",
        ["accuracy"],
        weighted_metrics=[distrib.metrics.SparseCategoricalAccuracy("weighted")],
    )
    return model


def train(num_examples, batch_size, weighted, **kwargs):
    x, y, weight = data(num_examples)
    epochs = max(1, -(-STEPS // -(-num_examples // batch_size)))

    def body(strategy):
        model = make_model(**kwargs)
        history = model.fit(
            x,
            y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=0,
            sample_weight=weight if weighted else None,
            validation_data=(x[:5], y[:5]),
        )
        tested = model.evaluate(x, y, batch_size=batch_size, verbose=0)
        return model.get_weights(), history.history, tested

    return body


cases = given(
    num_replicas=st.integers(1, 4),
    kind=st.sampled_from(list(KINDS)),
    num_examples=st.integers(1, 45),
    batch_size=st.integers(1, 40),
    weighted=st.booleans(),
    optimizer=st.sampled_from(CONTINUOUS),
    dropout=st.sampled_from([0.0, 0.4]),
    l2=st.sampled_from([0.0, 0.01]),
)


@settings(max_examples=80, deadline=None)
@cases
def test_float64_is_the_single_process(num_replicas, kind, num_examples, batch_size, weighted, **kwargs):
    body = train(num_examples, batch_size, weighted, dtype="float64", **kwargs)
    weights, history, tested = in_one_process(body)
    results = on_replicas(num_replicas, body, kind=kind)
    for replica_weights, replica_history, replica_tested in results:
        assert difference(replica_weights, weights) <= 1e-12
        assert set(replica_history) == set(history)
        for name, values in history.items():
            np.testing.assert_allclose(replica_history[name], values, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(replica_tested, tested, rtol=1e-9, atol=1e-12)
        assert replica_history == results[0][1], "logs differ between replicas"


@settings(max_examples=30, deadline=None)
@cases
def test_float32_is_the_single_process_up_to_rounding(
    num_replicas, kind, num_examples, batch_size, weighted, **kwargs
):
    body = train(num_examples, batch_size, weighted, dtype="float32", **(kwargs | {"optimizer": "sgd"}))
    weights, history, _ = in_one_process(body)
    for replica_weights, replica_history, _ in on_replicas(num_replicas, body, kind=kind):
        assert difference(replica_weights, weights) <= 5e-6
        np.testing.assert_allclose(replica_history["loss"], history["loss"], rtol=0.01)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_replicas", [1, 2, 3, 4])
def test_same_seed_and_replicas_give_the_same_bytes(num_replicas, kind):
    body = train(37, 8, True, dtype="float32", optimizer="adam", smooth=False, dropout=0.3, l2=0.01)

    def digest(weights):
        return hashlib.sha256(b"".join(w.tobytes() for w in weights)).hexdigest()

    runs = [[digest(w) for w, _, _ in on_replicas(num_replicas, body, kind=kind)] for _ in range(2)]
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 1, "replicas differ"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_replicas", [2, 3])
def test_train_on_batch_takes_the_global_batch(num_replicas, kind):
    x, y, weight = data(13)

    def body(strategy):
        model = make_model("float64", "adam", dropout=0.4, l2=0.01)
        for _ in range(STEPS):
            loss, *_ = model.train_on_batch(x, y, sample_weight=weight)
        return model.get_weights(), loss

    weights, loss = in_one_process(body)
    for replica_weights, replica_loss in on_replicas(num_replicas, body, kind=kind):
        assert difference(replica_weights, weights) <= 1e-12
        assert replica_loss == pytest.approx(loss, rel=1e-9)
