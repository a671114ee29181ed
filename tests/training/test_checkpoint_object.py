"""`train.Checkpoint`: saving and restoring as scripts for TensorFlow do it."""

import numpy as np
import pytest
from helpers.replicas import difference, on_replicas

import distrib
from distrib import tf
from distrib.base.errors import ConfigError, StorageError

rng = np.random.default_rng(1)
X, Y = rng.normal(size=(24, 4)), rng.integers(0, 3, 24)


def made(optimizer):
    model = distrib.Sequential(
        [distrib.layers.Dense(3, "softmax", input_shape=(4,))], dtype="float64", seed=1
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def test_a_training_goes_on_from_the_newest(tmp_path):
    def first(strategy):
        optimizer = distrib.optimizers.Adam(0.1)
        model = made(optimizer)
        checkpoint = tf.train.Checkpoint(optimizer=optimizer, model=model)
        assert checkpoint.restore(tf.train.latest_checkpoint(tmp_path)) is checkpoint, "there is none"
        for _ in range(2):
            model.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
            path = checkpoint.save(tmp_path / "ckpt")
        if strategy.is_chief:
            assert path == str(tmp_path / "ckpt-2")
        assert checkpoint.save_counter == 2
        model.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
        return model.get_weights()

    def second(strategy):
        optimizer = distrib.optimizers.Adam(0.1)
        model = made(optimizer)
        checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
        checkpoint.restore(tf.train.latest_checkpoint(tmp_path)).assert_consumed()
        assert optimizer.iterations == 6
        model.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
        return model.get_weights()

    expected = on_replicas(2, first)[0]
    for weights in on_replicas(3, second):
        assert difference(weights, expected) <= 1e-12


def test_a_manager_takes_it(tmp_path):
    model = made("adam")
    model.fit(X, Y, verbose=0)
    checkpoint = distrib.train.Checkpoint(model)
    manager = distrib.train.CheckpointManager(checkpoint, tmp_path, max_to_keep=1)
    manager.save()
    manager.save()
    assert [path.name for path in sorted(tmp_path.glob("ckpt-*"))] == ["ckpt-2"]
    other = made("adam")
    distrib.train.Checkpoint(net=other).restore(manager.latest_checkpoint).expect_partial()
    assert difference(other.get_weights(), model.get_weights()) == 0


def test_what_it_cannot_keep_is_named(tmp_path):
    model = made("adam")
    for objects in ({}, {"model": model, "step": 1.0}, {"a": model, "b": [tf.Variable(1.0)]}):
        with pytest.raises(ConfigError, match="expects models, layers, optimizers and variables"):
            distrib.train.Checkpoint(**objects)
    other = distrib.train.Checkpoint(model=model, optimizer=distrib.optimizers.SGD())
    for call in (lambda: other.save(tmp_path / "ckpt"), lambda: other.restore(None)):
        with pytest.raises(ConfigError, match="compiled with"):
            call()
    model.fit(X, Y, verbose=0)
    both = distrib.train.Checkpoint(model=model, optimizer=model.optimizer, step=tf.Variable(1.0))
    with pytest.raises(ConfigError, match="was used by fit"):
        both.save(tmp_path / "ckpt")
    with pytest.raises(StorageError, match="no such folder"):
        distrib.train.Checkpoint(model).restore(tmp_path / "ckpt-1")
