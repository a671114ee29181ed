"""Names, order and defaults of arguments are those of Keras and TensorFlow; what is not supported is a clear error.

The lists are those of Keras 3 and TensorFlow 2 as documented (`compile` as in Keras 2, `SidecarEvaluator` as there).
"""

import inspect

import numpy as np
import pytest

import distrib
from distrib import callbacks
from distrib.cluster_resolver import SimpleClusterResolver, TFConfigClusterResolver

X, Y = np.ones((8, 3)), np.arange(8) % 2

PUBLISHED = {
    distrib.Sequential.fit: "x y=None batch_size=None epochs=1 verbose='auto' callbacks=None validation_split=0.0 "
    "validation_data=None shuffle=True class_weight=None sample_weight=None initial_epoch=0 steps_per_epoch=None "
    "validation_steps=None validation_batch_size=None validation_freq=1",
    distrib.Sequential.evaluate: "x y=None batch_size=None verbose='auto' sample_weight=None steps=None "
    "callbacks=None return_dict=False",
    distrib.Sequential.predict: "x batch_size=None verbose='auto' steps=None callbacks=None",
    distrib.Sequential.train_on_batch: "x y sample_weight=None class_weight=None return_dict=False",
    distrib.Sequential.save: "filepath overwrite=True",
    distrib.Sequential.save_weights: "filepath overwrite=True",
    distrib.Sequential.load_weights: "filepath skip_mismatch=False",
    distrib.load_model: "filepath custom_objects=None compile=True safe_mode=True",
    distrib.SidecarEvaluator: "model data checkpoint_dir steps=None max_evaluations=None callbacks=None",
    callbacks.ModelCheckpoint: "filepath monitor='val_loss' verbose=0 save_best_only=False save_weights_only=False "
    "mode='auto' save_freq='epoch' initial_value_threshold=None",
    callbacks.BackupAndRestore: "backup_dir save_freq='epoch' double_checkpoint=False delete_checkpoint=True",
    callbacks.EarlyStopping: "monitor='val_loss' min_delta=0 patience=0 verbose=0 mode='auto' baseline=None "
    "restore_best_weights=False start_from_epoch=0",
    callbacks.ReduceLROnPlateau: "monitor='val_loss' factor=0.1 patience=10 verbose=0 mode='auto' min_delta=0.0001 "
    "cooldown=0 min_lr=0.0",
    callbacks.CSVLogger: "filename separator=',' append=False",
    callbacks.TensorBoard: "log_dir='logs' histogram_freq=0 write_graph=True write_images=False "
    "write_steps_per_second=False update_freq='epoch' profile_batch=0 embeddings_freq=0 embeddings_metadata=None",
    distrib.train.CheckpointManager: "checkpoint directory max_to_keep keep_checkpoint_every_n_hours=None "
    "checkpoint_name='ckpt'",
    distrib.train.CheckpointManager.save: "checkpoint_number=None check_interval=True options=None",
    distrib.train.latest_checkpoint: "checkpoint_dir latest_filename=None",
    distrib.train.checkpoints_iterator: "checkpoint_dir min_interval_secs=0 timeout=None timeout_fn=None",
    SimpleClusterResolver: "cluster_spec master='' task_type=None task_id=None environment='' num_accelerators=None "
    "rpc_layer=None",
    TFConfigClusterResolver: "task_type=None task_id=None rpc_layer=None environment=None",
}


@pytest.mark.parametrize("called", PUBLISHED, ids=lambda called: called.__qualname__)
def test_positional_arguments_are_the_published_ones(called):
    parameters = [
        each
        for each in inspect.signature(called).parameters.values()
        if each.kind == each.POSITIONAL_OR_KEYWORD
    ]
    ours = [each for each in parameters if each.name != "self"]
    published = PUBLISHED[called].split()
    assert [each.name for each in ours] == [each.partition("=")[0] for each in published]
    for each, (name, is_given, default) in zip(ours, (p.partition("=") for p in published), strict=True):
        assert not is_given or repr(each.default) == default, name


def made(units=2):
    model = distrib.Sequential(
        [distrib.layers.Dense(4, input_shape=(3,)), distrib.layers.Dense(units)], seed=1
    )
    model.compile("sgd", "mse", metrics=None, weighted_metrics=None, run_eagerly=False)
    return model


UNSUPPORTED = {
    "compile": (
        lambda _: made().compile("sgd", "mse", loss_weights=["accuracy"]),
        "loss_weights as numbers",
    ),
    "typo": (
        lambda _: made().compile("sgd", "mse", metrcs=["acc"]),
        "no argument metrcs.*Did you mean metrics",
    ),
    "hours": (
        lambda path: distrib.train.CheckpointManager(made(), path, 2, 1.0),
        "does not support keep_checkpoint_every_n_hours",
    ),
    "counter": (
        lambda path: distrib.train.CheckpointManager(made(), path, 2, step_counter=1),
        "does not support step_counter",
    ),
    "model": (
        lambda path: distrib.train.CheckpointManager({"model": made()}, path),
        "expects the model itself",
    ),
    "options": (
        lambda path: distrib.train.CheckpointManager(made(), path).save(options=1),
        "does not support options",
    ),
    "filename": (
        lambda path: distrib.train.latest_checkpoint(path, "checkpoint"),
        "not support latest_filename",
    ),
    "master": (
        lambda _: SimpleClusterResolver(distrib.ClusterSpec({}), "worker", "0"),
        "not support master.*described as",
    ),
    "steps": (lambda _: made().evaluate(X, Y, steps=0), "Expected steps >= 1"),
}


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_what_is_not_supported_is_said(tmp_path, kind):
    call, match = UNSUPPORTED[kind]
    with pytest.raises(distrib.ConfigError, match=match):
        call(tmp_path)


def test_none_and_one_callback_will_do():
    model = made()
    x, y = X, np.ones((8, 2))
    model.fit(x, y, verbose=0, callbacks=None, validation_data=(x, y))
    model.evaluate(x, y, verbose=0, callbacks=None)
    model.predict(x, callbacks=None)
    log = callbacks.History()
    model.fit(x, y, verbose=0, callbacks=log)
    assert list(log.history) == ["loss"]


def test_steps_are_the_first_batches():
    model, x = made(), np.arange(24.0).reshape(8, 3)
    y = np.arange(16.0).reshape(8, 2)
    first = model.evaluate(x[:6], y[:6], batch_size=3, verbose=0)
    assert first != model.evaluate(x, y, batch_size=3, verbose=0)
    assert model.evaluate(x, y, 3, 0, steps=2) == first
    assert model.evaluate(x, y, 3, 0, steps=9) == model.evaluate(x, y, 3, 0)
    assert len(model.predict(x, batch_size=3, steps=2)) == 6
    rate = model.optimizer.learning_rate
    model.optimizer.learning_rate = 0.0
    history = model.fit(x, y, verbose=0, validation_data=(x, y), validation_batch_size=3, validation_steps=2)
    assert history.history["val_loss"] == [first]
    model.optimizer.learning_rate = rate


def test_weights_that_do_not_fit_are_skipped_and_named(tmp_path, caplog):
    model, other = made(), made(units=5)
    before = other.get_weights()
    model.variables[0].value[:] = 7.0
    model.save_weights(tmp_path / "a.weights.safetensors")
    with pytest.raises(distrib.StorageError, match="dense_1/kernel: expected"):
        other.load_weights(tmp_path / "a.weights.safetensors")
    other.load_weights(tmp_path / "a.weights.safetensors", skip_mismatch=True)
    assert (other.get_weights()[0] == 7.0).all()
    assert np.array_equal(other.get_weights()[2], before[2])
    assert "skipped: dense_1/kernel, dense_1/bias" in caplog.text


def test_model_checkpoint_says_what_it_does(tmp_path, capsys):
    saving = callbacks.ModelCheckpoint(tmp_path / "best", "loss", 1, True)
    model = made()
    model.fit(X, np.ones((8, 2)), verbose=0, epochs=2, callbacks=[saving])
    model.optimizer.learning_rate = 0.0
    model.fit(X, np.ones((8, 2)), verbose=0, epochs=2, callbacks=[saving])
    model.fit(
        X,
        np.ones((8, 2)),
        verbose=0,
        epochs=1,
        callbacks=[callbacks.ModelCheckpoint(tmp_path / "a", verbose=1)],
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Epoch 1: loss improved from none to ")
    assert lines[0].endswith(f", saving model to {tmp_path}/best")
    assert lines[-2].startswith("Epoch 2: loss did not improve from "), "twice the same loss"
    assert lines[-1] == f"Epoch 1: saving model to {tmp_path}/a"


def test_the_alias_of_tensorflow():
    assert distrib.train.ClusterSpec is distrib.ClusterSpec
