"""Layers in several models: they keep their values, and what one model learns the others see."""

import numpy as np
import pytest
from helpers.places import PLACES, everywhere
from helpers.replicas import difference, in_one_process, on_replicas

import distrib
from distrib import layers

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(24, 5)), rng.integers(0, 3, 24)
REAL, NOISE = rng.normal(1.0, 0.5, size=(24, 4)), rng.normal(size=(24, 2))
COLLECTIVE = [place for place in PLACES if not place.startswith("ps")]


def make_classifier(rate=0.1, seed=1):
    model = distrib.Sequential(
        [layers.Input((5,)), layers.Dense(6, activation="tanh"), layers.Dense(3, activation="softmax")],
        dtype="float64",
        seed=seed,
    )
    model.compile(distrib.optimizers.SGD(rate), "sparse_categorical_crossentropy")
    return model


def compiled(parts, optimizer=None, **kwargs):
    model = distrib.Sequential(parts, dtype="float64", **kwargs)
    model.compile(optimizer or distrib.optimizers.SGD(0.1), "mse")
    return model


def test_transfer_learning_keeps_what_was_learnt():
    a = make_classifier()
    a.fit(X, Y, epochs=2, verbose=0)
    learnt, before = a.get_weights(), a.predict(X)

    b = compiled(a.layers[:-1], seed=99)
    b.add(layers.Dense(1))
    b.build((None, 5))
    np.testing.assert_array_equal(b.get_weights()[0], learnt[0])
    np.testing.assert_array_equal(a.predict(X), before)
    assert [layer.name for layer in b.layers] == ["dense", "dense_1"]

    b.fit(X, X[:, :1], epochs=3, verbose=0)
    assert not np.array_equal(a.get_weights()[0], learnt[0]), "a sees what b has learnt"
    np.testing.assert_array_equal(a.get_weights()[0], b.get_weights()[0])
    np.testing.assert_array_equal(a.get_weights()[2], learnt[2])
    hidden = np.tanh(X @ b.get_weights()[0] + b.get_weights()[1])
    logits = hidden @ learnt[2] + learnt[3]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(a.predict(X), expected, rtol=1e-12)


@pytest.mark.parametrize("place", PLACES)
def test_frozen_layers_of_a_trained_model_stay(place):
    def body(strategy):
        a = make_classifier()
        a.fit(X, Y, batch_size=8, epochs=1, verbose=0)
        base = a.layers[0]
        base.trainable = False
        b = compiled([layers.Input((5,)), base, layers.Dense(1, name="head")], seed=2)
        learnt = base.variables[0].numpy()
        b.fit(X, X[:, :1], batch_size=8, epochs=2, verbose=0)
        np.testing.assert_array_equal(b.get_weights()[0], learnt)
        return b.get_weights()

    expected = in_one_process(body)
    for weights in everywhere(place, body):
        assert difference(weights, expected) <= 1e-12


def in_turns(optimizer, share_all):
    """Two models with the same layers, each trained on half of the batches."""

    def body(strategy):
        a = make_classifier()
        a.compile(optimizer(), "sparse_categorical_crossentropy")
        b = a
        if share_all:
            b = distrib.Sequential(a.layers, dtype="float64", seed=1)
            b.compile(optimizer(), "sparse_categorical_crossentropy")
        for step in range(6):
            part = slice(4 * step, 4 * step + 4)
            (b if step % 2 else a).train_on_batch(X[part], Y[part])
        return a.get_weights(), b.get_weights()

    return body


@pytest.mark.parametrize("place", COLLECTIVE)
def test_two_models_that_train_the_same_layers_in_turns_are_one(place):
    def sgd():
        return distrib.optimizers.SGD(0.1)

    one, _ = in_one_process(in_turns(sgd, share_all=False))
    for a, b in everywhere(place, in_turns(sgd, share_all=True)):
        assert difference(a, one) <= 1e-13
        assert difference(b, one) <= 1e-13


def adversarial(strategy):
    """The usual loop: the discriminator learns, then the generator through the frozen discriminator."""
    generator = distrib.Sequential(
        [layers.Input((2,)), layers.Dense(8, activation="relu"), layers.Dense(4)], dtype="float64", seed=1
    )
    discriminator = distrib.Sequential(
        [layers.Input((4,)), layers.Dense(8, activation="relu"), layers.Dense(1, activation="sigmoid")],
        dtype="float64",
        seed=2,
    )
    discriminator.compile(distrib.optimizers.Adam(0.02), "binary_crossentropy")
    discriminator.trainable = False
    combined = distrib.Sequential([*generator.layers, *discriminator.layers], dtype="float64", seed=3)
    combined.compile(distrib.optimizers.Adam(0.01), "binary_crossentropy")
    losses = []
    for step in range(4):
        part = slice(6 * step, 6 * step + 6)
        fake = generator.predict(NOISE[part], verbose=0)
        losses.append(discriminator.train_on_batch(REAL[part], np.ones(6)))
        losses.append(discriminator.train_on_batch(fake, np.zeros(6)))
        frozen = discriminator.get_weights()
        losses.append(combined.train_on_batch(NOISE[part], np.ones(6)))
        assert all(map(np.array_equal, frozen, discriminator.get_weights()))
    return losses, generator.get_weights(), discriminator.get_weights(), combined.get_weights()


def test_the_discriminator_and_the_generator_both_learn():
    losses, generator, discriminator, combined = in_one_process(adversarial)
    assert len(combined) == len(generator) + len(discriminator)
    assert all(map(np.array_equal, combined, generator + discriminator))
    first = adversarial_start()
    assert not any(np.array_equal(a, b) for a, b in zip(generator[::2], first[:4:2], strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(discriminator[::2], first[4::2], strict=True))
    assert np.isfinite(losses).all()


def adversarial_start():
    distrib.reset()
    parts = [
        distrib.Sequential([layers.Input((2,)), layers.Dense(8), layers.Dense(4)], dtype="float64", seed=1),
        distrib.Sequential([layers.Input((4,)), layers.Dense(8), layers.Dense(1)], dtype="float64", seed=2),
    ]
    return [value for part in parts for value in part.get_weights()]


@pytest.mark.parametrize("place", COLLECTIVE)
def test_adversarial_training_is_that_of_one_process(place):
    expected = in_one_process(adversarial)
    for losses, *weights in everywhere(place, adversarial):
        np.testing.assert_allclose(losses, expected[0], rtol=1e-9)
        for values, of_one in zip(weights, expected[1:], strict=True):
            assert difference(values, of_one) <= 1e-12


@pytest.mark.parametrize("place", PLACES)
def test_fits_in_turns_see_each_others_values(place):
    def body(strategy):
        a = make_classifier()
        b = compiled([layers.Input((5,)), a.layers[0], layers.Dense(2, name="head")], seed=4)
        for _ in range(2):
            a.fit(X, Y, batch_size=8, verbose=0)
            b.fit(X, X[:, :2], batch_size=8, verbose=0)
            np.testing.assert_array_equal(a.get_weights()[0], b.get_weights()[0])
        return [*a.get_weights(), *b.get_weights()]

    expected = in_one_process(body)
    for weights in everywhere(place, body):
        assert difference(weights, expected) <= 1e-12


@pytest.mark.parametrize("kind", ["ring", "central"])
def test_models_of_several_strategies_can_share_layers(kind):
    def body(strategy):
        a = make_classifier()
        a.fit(X, Y, batch_size=8, verbose=0)
        other = distrib.DefaultStrategy()
        alone = distrib.Sequential(a.layers, dtype="float64", seed=1)
        alone.strategy = other  # every replica trains it alone, on all examples
        alone.compile(distrib.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        alone.fit(X, Y, batch_size=8, verbose=0)
        strategy.barrier()
        a.fit(X, Y, batch_size=8, verbose=0)
        return a.get_weights()

    expected = in_one_process(body)
    for weights in on_replicas(3, body, kind=kind):
        assert difference(weights, expected) <= 1e-12


def test_a_layer_with_weights_refuses_other_inputs():
    a = make_classifier()
    a.build((None, 5))
    with pytest.raises(
        distrib.ShapeError, match=r"'dense' has weights for inputs of shape \(batch, 5\). Rec"
    ):
        distrib.Sequential([layers.Input((4,)), a.layers[0]], dtype="float64")
    with pytest.raises(distrib.ShapeError, match=r"'dense_1' has weights for inputs of shape \(batch, 6\)"):
        distrib.Sequential(a.layers[1:], dtype="float64").build((None, 7))
    with pytest.raises(distrib.ConfigError, match=r"has float64 weights\. Received: a model of float32"):
        distrib.Sequential(a.layers)
    np.testing.assert_array_equal(a.get_weights()[0], make_classifier().get_weights()[0])


def test_add_and_pop_after_training():
    model = make_classifier()
    model.fit(X, Y, verbose=0)
    learnt = model.get_weights()
    head = model.pop()
    assert head.name == "dense_1"
    assert [layer.name for layer in model.layers] == ["dense"]
    np.testing.assert_allclose(model.predict(X), np.tanh(X @ learnt[0] + learnt[1]), rtol=1e-12)
    with pytest.raises(distrib.ConfigError, match="again, where layers were added"):
        model.fit(X, Y, verbose=0)

    model.add(head)
    assert all(map(np.array_equal, model.get_weights(), learnt))
    model.pop()
    model.add(layers.Dense(1))
    model.compile("adam", "mse")
    model.fit(X, X[:, :1], verbose=0)
    assert model.output_shape == (None, 1)


def test_pop_of_nothing_and_the_same_layer_twice_are_errors():
    model = distrib.Sequential([layers.Input((5,))])
    with pytest.raises(distrib.ConfigError, match="has no layers"):
        model.pop()
    layer = layers.Dense(5)
    model.add(layer)
    with pytest.raises(distrib.ConfigError, match="'dense' is in model 'sequential' already"):
        model.add(layer)


def test_a_saved_model_has_the_names_of_its_own_model(tmp_path):
    a, b = make_classifier(seed=1), make_classifier(seed=2)
    a.build((None, 5))
    b.build((None, 5))
    joined = compiled([a.layers[0], layers.Dense(5, name="between"), b.layers[0]])
    joined.fit(X, np.zeros((24, 6)), verbose=0)
    joined.save(tmp_path / "joined")
    assert [layer.name for layer in joined.layers] == ["dense", "between", "dense"]
    again = distrib.load_model(tmp_path / "joined")
    assert [layer.name for layer in again.layers] == ["dense", "between", "dense_1"]
    assert joined.get_layer("dense_1") is b.layers[0]
    np.testing.assert_array_equal(again.predict(X), joined.predict(X))
