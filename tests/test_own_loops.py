"""Loops of one's own: n replicas train what one process trains."""

import numpy as np
import pytest
from helpers.replicas import KINDS, difference, in_one_process, on_replicas

import distrib
import distrib.tf as tf
from distrib import keras
from distrib.keras import layers

BATCH = 12


def data(num_examples=36):
    rng = np.random.default_rng(2)
    return rng.normal(size=(num_examples, 5)), rng.integers(0, 3, num_examples)


def part_of(strategy, begin):
    """This replica's part of the batch that begins there: the parts are not equally large."""
    n, rank = strategy.num_replicas_in_sync, strategy.replica_id
    cuts = np.linspace(0, BATCH, n + 1).astype(int)
    if n > 2:
        cuts[1] += 1
    return slice(begin + cuts[rank], begin + cuts[rank + 1])


def loop(strategy):
    """Low level: variables, a tape, `compute_average_loss`, two optimizers."""
    x, y = data()
    rng = np.random.default_rng(0)
    w1, b1 = distrib.Variable(rng.normal(size=(5, 8))), distrib.Variable(np.zeros(8))
    w2, b2 = distrib.Variable(rng.normal(size=(8, 3))), distrib.Variable(np.zeros(3))
    first, second = keras.optimizers.Adam(0.02), keras.optimizers.SGD(0.1, momentum=0.9)

    def step(x, y):
        with tf.GradientTape() as tape:
            logits = tf.matmul(tf.nn.tanh(x @ w1 + b1), w2) + b2
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
            loss = tf.nn.compute_average_loss(losses, global_batch_size=BATCH)
            loss += tf.nn.scale_regularization_loss(0.01 * tf.nn.l2_loss(w1))
        of_first, of_second = tape.gradient(loss, [[w1, b1], [w2, b2]])
        first.apply_gradients(zip(of_first, [w1, b1], strict=True))
        second.apply_gradients(zip(of_second, [w2, b2], strict=True))
        return loss

    losses = []
    for _ in range(3):
        for begin in range(0, 36, BATCH):
            rows = part_of(strategy, begin)
            own = strategy.run(step, args=(x[rows], y[rows]))
            losses.append(float(strategy.reduce("SUM", own, axis=None)))
    assert int(first.iterations) == int(second.iterations) == 9
    return [each.numpy() for each in (w1, b1, w2, b2)], losses


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_replicas", [1, 2, 3, 4])
def test_variables_and_two_optimizers(num_replicas, kind):
    weights, losses = in_one_process(loop)
    assert losses[-1] < losses[0]
    for found in on_replicas(num_replicas, loop, kind=kind):
        assert difference(found[0], weights) < 1e-12
        np.testing.assert_allclose(found[1], losses, rtol=1e-12)


def gan(strategy):
    """Two models, each with an optimizer; the one is trained through the other."""
    x, _ = data()
    x = x[:, :2]
    options = {"dtype": "float64"}
    generator = keras.Sequential(
        [layers.Input((3,)), layers.Dense(6, activation="relu"), layers.Dense(2)], **options
    )
    discriminator = keras.Sequential(
        [layers.Input((2,)), layers.Dense(6), layers.LeakyReLU(0.2), layers.Dropout(0.0), layers.Dense(1)],
        **options,
    )
    cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True, reduction="sum")
    of_generator, of_discriminator = keras.optimizers.Adam(1e-2), keras.optimizers.Adam(1e-2)
    noise = np.random.default_rng(3).normal(size=(36, 3))

    def step(images, noise):
        with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
            generated = generator(noise, training=True)
            real, fake = discriminator(images, training=True), discriminator(generated, training=True)
            gen_loss = cross_entropy(np.ones_like(fake), fake) / BATCH
            disc_loss = (
                cross_entropy(np.ones_like(real), real) + cross_entropy(np.zeros_like(fake), fake)
            ) / BATCH
        gradients = gen_tape.gradient(gen_loss, generator.trainable_variables)
        of_disc = disc_tape.gradient(disc_loss, discriminator.trainable_variables)
        of_generator.apply_gradients(zip(gradients, generator.trainable_variables, strict=True))
        of_discriminator.apply_gradients(zip(of_disc, discriminator.trainable_variables, strict=True))

    for _ in range(3):
        for begin in range(0, 36, BATCH):
            rows = part_of(strategy, begin)
            strategy.run(step, args=(x[rows], noise[rows]))
    return [*generator.get_weights(), *discriminator.get_weights()]


@pytest.mark.parametrize("num_replicas", [1, 2, 3, 4])
def test_a_gan(num_replicas):
    expected = in_one_process(gan)
    for found in on_replicas(num_replicas, gan):
        assert difference(found, expected) < 1e-12


def test_minimize_and_apply():
    x = distrib.Variable(np.float64(10.0))
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.minimize(lambda: x**2 / 2, [x])
    assert float(x) == 9.0
    with tf.GradientTape() as tape:
        loss = x**2 / 2
    optimizer.minimize(loss, [x], tape=tape)
    assert float(x) == pytest.approx(8.1)
    optimizer.apply([1.0], [x])
    optimizer.apply([1.0])
    assert float(x) == pytest.approx(7.9)
    assert int(optimizer.iterations) == 4


def test_a_loop_goes_on_from_a_fit_with_the_same_state():
    x, y = data()

    def make():
        model = keras.Sequential([layers.Input((5,)), layers.Dense(3)], dtype="float64", seed=3)
        model.compile(
            keras.optimizers.Adam(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        model.fit(x, y, batch_size=36, epochs=2, verbose=0, shuffle=False)
        return model

    expected, model = make(), make()
    expected.fit(x, y, batch_size=36, epochs=1, verbose=0, shuffle=False)
    with tf.GradientTape() as tape:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y, model(x, training=True))
    variables = model.trainable_variables
    model.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
    assert difference(model.get_weights(), expected.get_weights()) < 1e-12
    for each in (model, expected):
        each.fit(x, y, batch_size=36, epochs=1, verbose=0, shuffle=False)
    assert difference(model.get_weights(), expected.get_weights()) < 1e-12


def test_what_cannot_be_applied_is_a_sentence():
    v, w = distrib.Variable([1.0]), distrib.Variable(np.array([1.0]))
    sgd = keras.optimizers.SGD(0.1)
    for call, match in [
        (lambda: sgd.apply_gradients([]), "Received: none"),
        (lambda: sgd.apply_gradients([(None, v)]), "No gradients for any variable: Variable"),
        (lambda: sgd.apply_gradients([(1.0, np.ones(3))]), "expects variables. Received: ndarray"),
        (lambda: sgd.apply_gradients([(v.numpy(), v), (w.numpy(), w)]), "all of one dtype"),
        (lambda: sgd.apply([1.0], [v, w]), "for each of 2 variables. Received: 1"),
        (lambda: sgd.minimize(v * 1, [v]), "the tape that recorded it"),
    ]:
        with pytest.raises(distrib.ConfigError, match=match):
            call()


def test_gradients_that_are_combined_already():
    def body(strategy):
        v = distrib.Variable(np.zeros(3))
        gradient = strategy.reduce("SUM", np.arange(3.0) * (strategy.replica_id + 1))
        keras.optimizers.SGD(1.0).apply_gradients([(gradient, v)], skip_gradients_aggregation=True)
        return v.numpy()

    for found in on_replicas(3, body):
        np.testing.assert_allclose(found, -6 * np.arange(3.0))


def resumable(strategy, steps, folder, restores):
    """A loop with two models and optimizers, whose checkpoint has all of it."""
    x, _ = data()
    first, second = (
        keras.Sequential([layers.Input((5,)), layers.Dense(3)], dtype="float64", seed=n) for n in (1, 2)
    )
    optimizers = keras.optimizers.Adam(0.05), keras.optimizers.SGD(0.1, momentum=0.9)
    step = distrib.Variable(0, trainable=False)
    checkpoint = tf.train.Checkpoint(
        first=first, second=second, adam=optimizers[0], sgd=optimizers[1], step=step
    )
    manager = tf.train.CheckpointManager(checkpoint, folder, max_to_keep=2)
    if restores:
        checkpoint.restore(manager.latest_checkpoint)
        assert int(step) == 2
    while int(step) < steps:
        rows = part_of(strategy, BATCH * (int(step) % 3))
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_sum(tf.square(first(x[rows]) - second(x[rows]) + 1)) / BATCH
        gradients = [tape.gradient(loss, model.trainable_variables) for model in (first, second)]
        for gradient, model, optimizer in zip(gradients, (first, second), optimizers, strict=True):
            optimizer.apply_gradients(zip(gradient, model.trainable_variables, strict=True))
        step.assign_add(1)
    manager.save()
    return [*first.get_weights(), *second.get_weights()]


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 3), (3, 1)])
def test_a_loop_goes_on_from_a_checkpoint(tmp_path, before, after):
    expected = on_replicas(before, lambda s: resumable(s, 5, tmp_path / "whole", False))[0]
    on_replicas(before, lambda s: resumable(s, 2, tmp_path / "parts", False))
    for found in on_replicas(after, lambda s: resumable(s, 5, tmp_path / "parts", True)):
        assert difference(found, expected) < 1e-12
    with pytest.raises(distrib.StorageError, match="is of another model"):
        tf.train.Checkpoint(v=distrib.Variable(1.0), sgd=keras.optimizers.SGD()).restore(
            tmp_path / "parts" / "ckpt-1"
        )
    with pytest.raises(distrib.ConfigError, match="Received: number"):
        tf.train.Checkpoint(number=3)
