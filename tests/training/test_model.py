"""Sequential: building, Keras' semantics of fit, callbacks, and bad input."""

import numpy as np
import pytest
from helpers.replicas import on_replicas

import distrib
from distrib import layers


def examples(num=20):
    rng = np.random.default_rng(1)
    return rng.normal(size=(num, 4)).astype(np.float32), rng.integers(0, 3, num)


def make_model(*extra, **kwargs):
    model = distrib.Sequential([layers.Input((4,)), *extra, layers.Dense(3, activation="softmax")], **kwargs)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return model


class Recorder(distrib.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls = []


def recording(hook):
    def method(self, *args):
        self.calls.append((hook, *[a for a in args if isinstance(a, int)]))

    return method


for _hook in [name for name in dir(distrib.callbacks.Callback) if name.startswith("on_")]:
    setattr(Recorder, _hook, recording(_hook))


def test_names_shapes_and_counts():
    model = distrib.Sequential([layers.Flatten(input_shape=(2, 2)), layers.Dense(5), layers.Dense(3)])
    assert [layer.name for layer in model.layers] == ["flatten", "dense", "dense_1"]
    assert (model.input_shape, model.output_shape) == ((None, 2, 2), (None, 3))
    assert model.count_params() == 4 * 5 + 5 + 5 * 3 + 3
    lines = []
    model.summary(print_fn=lines.append)
    assert any("dense_1 (Dense)" in line and "18" in line for line in lines)
    assert distrib.Sequential().name == "sequential_1"
    distrib.reset()
    assert distrib.Sequential().name == "sequential"


def test_hooks_are_called_in_keras_order():
    x, y = examples(4)
    recorder = Recorder()
    make_model().fit(x, y, batch_size=2, verbose=0, callbacks=[recorder], validation_data=(x, y))
    assert recorder.calls == [
        ("on_train_begin",),
        ("on_epoch_begin", 0),
        ("on_train_batch_begin", 0),
        ("on_train_batch_end", 0),
        ("on_train_batch_begin", 1),
        ("on_train_batch_end", 1),
        ("on_test_begin",),
        ("on_test_batch_begin", 0),
        ("on_test_batch_end", 0),
        ("on_test_batch_begin", 1),
        ("on_test_batch_end", 1),
        ("on_test_end",),
        ("on_epoch_end", 0),
        ("on_train_end",),
    ]


def test_history_validation_and_stopping():
    x, y = examples()

    class Stop(distrib.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 3

    model = make_model()
    history = model.fit(
        x,
        y,
        epochs=9,
        initial_epoch=1,
        verbose=0,
        validation_split=0.25,
        validation_freq=2,
        callbacks=[Stop()],
    )
    assert history.epoch == [1, 2, 3]
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert len(history.history["val_loss"]) == 2
    loss, accuracy = model.evaluate(x[15:], y[15:], verbose=0)
    assert history.history["val_loss"][-1] == pytest.approx(loss)
    assert model.evaluate(x[15:], y[15:], verbose=0, return_dict=True) == {"loss": loss, "accuracy": accuracy}


def test_steps_per_epoch_goes_on_where_it_stopped():
    x, y = examples(12)

    def weights(**kwargs):
        model = make_model(seed=1)
        model.fit(x, y, batch_size=4, verbose=0, **kwargs)
        return model.get_weights()

    whole, in_steps = weights(epochs=2), weights(epochs=6, steps_per_epoch=1)
    assert all(np.array_equal(a, b) for a, b in zip(whole, in_steps, strict=True))


def test_class_weight_is_sample_weight():
    x, y = examples()
    weights = {0: 0.5, 1: 2.0, 2: 3.0}

    def trained(**kwargs):
        model = make_model(dtype="float64", seed=1)
        model.fit(x, y, verbose=0, **kwargs)
        return model.get_weights()

    a, b = trained(class_weight=weights), trained(sample_weight=[weights[label] for label in y])
    assert all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))
    with pytest.raises(distrib.ConfigError, match="not both"):
        make_model().fit(x, y, class_weight=weights, sample_weight=np.ones(20), verbose=0)


def test_frozen_layers_do_not_learn():
    x, y = examples()
    frozen = layers.Dense(5)
    model = make_model(frozen)
    frozen.trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    after = model.get_weights()
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[2], after[2])
    assert len(model.trainable_variables) == 2


def test_weights_can_be_read_and_set():
    model, other = make_model(seed=1), make_model(seed=2)
    x, _ = examples()
    assert not np.array_equal(model.predict(x), other.predict(x))
    other.set_weights(model.get_weights())
    assert np.array_equal(model.predict(x), other.predict(x))
    assert np.array_equal(model(x), model.predict(x, batch_size=20))
    with pytest.raises(distrib.ShapeError, match=r"expects weights of shapes"):
        other.set_weights(model.get_weights()[:1])


def test_progress_is_shown_by_the_chief_only(capsys):
    x, y = examples()

    def body(strategy):
        make_model().fit(x, y, batch_size=4, epochs=2, verbose=2)

    on_replicas(2, body)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/2"
    assert lines[1].startswith("5/5 - ")
    assert "accuracy: " in lines[1]
    assert "loss: " in lines[1]
    assert len(lines) == 4


x, y = examples()
BAD_INPUT = {
    "another shape": (
        lambda m: m.fit(np.ones((20, 5)), y),
        distrib.ShapeError,
        r"expects inputs of shape \(batch, 4\)",
    ),
    "images without Flatten": (
        lambda m: m.fit(np.ones((20, 2, 2)), y),
        distrib.ShapeError,
        r"Add Flatten\(\) before it",
    ),
    "empty": (lambda m: m.fit(x[:0], y[:0]), distrib.DataError, "empty data"),
    "unequal lengths": (lambda m: m.fit(x, y[:-1]), distrib.DataError, "'x': 20, 'y': 19"),
    "label out of range": (lambda m: m.fit(x, y + 1), distrib.DataError, "label 3 in example"),
    "negative label": (lambda m: m.fit(x, y - 1), distrib.DataError, "label -1 in example"),
    "fractions as labels": (lambda m: m.fit(x, y + 0.5), distrib.DataError, "fractions"),
    "one-hot labels": (
        lambda m: m.fit(x, np.eye(3)[y]),
        distrib.ShapeError,
        "Use 'categorical_crossentropy'",
    ),
    "strings": (lambda m: m.fit([["a"] * 4] * 20, y), distrib.DataError, "x holds numbers"),
    "objects": (lambda m: m.fit(x.astype(object), y), distrib.DataError, "dtype object"),
    "ragged": (lambda m: m.fit([[1.0, 2.0], [1.0]], y), distrib.DataError, "cannot be made an array"),
    "a number": (lambda m: m.fit(3.0, y), distrib.DataError, "single number"),
    "weights of another length": (
        lambda m: m.fit(x, y, sample_weight=[1.0]),
        distrib.DataError,
        "'sample_weight': 1",
    ),
    "batch size 0": (lambda m: m.fit(x, y, batch_size=0), distrib.ConfigError, "batch_size >= 1"),
    "split of everything": (
        lambda m: m.fit(x, y, validation_split=1.0),
        distrib.DataError,
        "leaves one part empty",
    ),
    "predict another shape": (lambda m: m.predict(np.ones((2, 3))), distrib.ShapeError, "expects inputs"),
    "predict nothing": (lambda m: m.predict(x[:0]), distrib.DataError, "empty data"),
    "evaluate another shape": (
        lambda m: m.evaluate(np.ones((2, 3)), y[:2]),
        distrib.ShapeError,
        "expects inputs",
    ),
    "unknown loss": (lambda m: m.compile("adam", "cross"), distrib.ConfigError, "Unknown loss: 'cross'"),
    "unknown optimizer": (lambda m: m.compile("adm", "mse"), distrib.ConfigError, "Did you mean 'adam'"),
    "unknown metric": (
        lambda m: m.compile("adam", "mse", ["acuracy"]),
        distrib.ConfigError,
        "Did you mean 'accuracy'",
    ),
    "unknown layer activation": (
        lambda m: layers.Dense(1, "rleu"),
        distrib.ConfigError,
        "Did you mean 'relu'",
    ),
    "unknown policy": (
        lambda m: m.compile("adam", "mse", on_nonfinite="no"),
        distrib.ConfigError,
        "raise, skip or allow",
    ),
    "unknown dtype": (lambda m: distrib.Sequential(dtype="float16"), distrib.ConfigError, "float32"),
    "not a layer": (lambda m: distrib.Sequential(["dense"]), distrib.ConfigError, "expects layers"),
    "units 0": (lambda m: layers.Dense(0), distrib.ConfigError, "positive int"),
    "rate 1": (lambda m: layers.Dropout(1.5), distrib.ConfigError, r"\[0, 1\]"),
    "not compiled": (
        lambda m: distrib.Sequential([layers.Dense(1)]).fit(x, y),
        distrib.ConfigError,
        "not compiled",
    ),
    "not built": (
        lambda m: distrib.Sequential([layers.Dense(1)]).variables,
        distrib.ConfigError,
        "input shape is unknown",
    ),
}


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_a_clear_error_on_every_replica(case, world_size):
    call, kind, message = BAD_INPUT[case]
    seen = []

    def body(strategy):
        with pytest.raises(kind, match=message):
            call(make_model())
        seen.append(strategy.replica_id)

    on_replicas(world_size, body)
    assert sorted(seen) == list(range(world_size))
