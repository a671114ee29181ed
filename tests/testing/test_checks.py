"""The checks of `distrib.testing`: each finds what it is for, and sound models pass."""

import io
import os

import numpy as np
import pytest

import distrib
import distrib.tf as tf
from distrib import keras
from distrib.keras import layers
from distrib.testing import check_model, easy_classification, easy_images, easy_regression

X, Y = easy_classification(12)
XR, YR = easy_regression(12)
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def classifier(*hidden, loss=None, last=None, dtype="float32", x=None):
    """What makes a compiled model with these layers before the last: each is made anew."""

    def make():
        made = [layer() for layer in hidden]
        model = keras.Sequential(
            [layers.Input((6,)), *made, (last or (lambda: layers.Dense(3)))()], dtype=dtype
        )
        model.compile(keras.optimizers.SGD(0.1), (loss or (lambda: SPARSE))())
        return model

    return make


def own(call, **attributes):
    """A layer of one's own."""
    return type("Own", (layers.Layer,), {"call": call, **attributes})


class Scaled(layers.Layer):
    """A sound layer with a variable, for others to break."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

    def call(self, inputs):
        return inputs * self.scale


def dense():
    return layers.Dense(6, activation="tanh")


class WithoutGradient(Scaled):
    def call(self, inputs):
        return inputs * tf.stop_gradient(self.scale)


class Unused(Scaled):
    def call(self, inputs):
        return inputs + 0.0


class Rounded(Scaled):
    def call(self, inputs):
        return inputs * np.round(self.scale)


def wrong_gradient(factor):
    @distrib.custom_gradient
    def square(x):
        return x * x, lambda d: d * factor * x

    return own(lambda self, inputs: square(inputs))


class Stateful(Scaled):
    def build(self, input_shape):
        super().build(input_shape)
        self.count = self.add_weight(trainable=False, name="count")

    def call(self, inputs):
        self.count.assign_add(0.1)
        return inputs * self.scale + self.count


def drawn(self, inputs):
    return inputs + GENERATOR.normal(size=np.shape(inputs)).astype(np.float32)


GENERATOR = np.random.default_rng(0)


class DrawnWeights(Scaled):
    def build(self, input_shape):
        self.scale = self.add_weight(
            shape=(input_shape[-1],),
            initializer=lambda shape, dtype=None: GENERATOR.normal(size=shape),
            name="scale",
        )


SHARED = layers.Dense(6)


def batch_loss(y, p):
    return tf.reduce_sum(tf.square(p[:, 0] - tf.cast(y, p.dtype)))


FAULTS = {
    # name -> (what makes the model, which check finds it)
    "reduces the batch away": (
        classifier(dense, own(lambda s, x: x.reshape(2, -1, 6) if len(x) % 2 == 0 else x)),
        "shapes",
    ),
    "transposes": (
        classifier(dense, last=lambda: own(lambda s, x: x.T @ x @ x.T if len(x) == 2 else x[:, :3])()),
        "shapes",
    ),
    "log of negative numbers": (classifier(dense, own(lambda s, x: tf.math.log(x))), "finite"),
    "division by zero": (classifier(own(lambda s, x: x / (x - x))), "finite"),
    "exp of large numbers": (classifier(own(lambda s, x: tf.exp(500 * tf.abs(x)))), "finite"),
    "softmax over one output": (
        classifier(
            dense,
            last=lambda: layers.Dense(1, activation="softmax"),
            loss=lambda: lambda y, p: tf.square(p - 1),
        ),
        "loss is not zero",
    ),
    "loss of the targets alone": (
        classifier(dense, loss=lambda: lambda y, p: 0 * p[:, 0] + tf.cast(y, p.dtype)),
        "every variable has a gradient",
    ),
    "constant loss 0": (classifier(dense, loss=lambda: lambda y, p: 0 * p[:, 0]), "loss is not zero"),
    "stop_gradient": (classifier(WithoutGradient), "every variable has a gradient"),
    "a variable that is not used": (classifier(Unused), "every variable has a gradient"),
    "rounding": (classifier(Rounded), "every variable has a gradient"),
    "dead relu": (
        classifier(lambda: layers.Dense(6, "relu", bias_initializer=keras.initializers.Constant(-100.0))),
        "every variable has a gradient",
    ),
    "detached by asarray": (
        classifier(dense, own(lambda s, x: np.asarray(x) * 1.0)),
        "every variable has a gradient",
    ),
    "gradient half as large": (classifier(dense, wrong_gradient(1)), "gradient is the slope"),
    "gradient of the wrong sign": (classifier(dense, wrong_gradient(-2)), "gradient is the slope"),
    "gradient too large": (classifier(dense, wrong_gradient(3)), "gradient is the slope"),
    "mean over the batch": (
        classifier(dense, own(lambda s, x: x - tf.reduce_mean(x, axis=0))),
        "examples do not mix",
    ),
    "softmax over the batch": (
        classifier(dense, own(lambda s, x: tf.nn.softmax(x, axis=0))),
        "examples do not mix",
    ),
    "norm over all": (classifier(dense, own(lambda s, x: x / tf.norm(x))), "examples do not mix"),
    "sum over the batch": (
        classifier(dense, own(lambda s, x: x + tf.reduce_sum(x, axis=0, keepdims=True))),
        "examples do not mix",
    ),
    "largest of the batch": (
        classifier(dense, own(lambda s, x: x / (1 + tf.reduce_max(tf.abs(x))))),
        "two halves are the batch",
    ),
    "cumulative sum along the batch": (
        classifier(dense, own(lambda s, x: np.cumsum(x, axis=0))),
        "two halves are the batch",
    ),
    "loss summed over the batch": (classifier(dense, loss=lambda: batch_loss), "two halves are the batch"),
    "loss by the number of examples": (
        classifier(dense, loss=lambda: lambda y, p: tf.square(p[:, 0]) * len(p)),
        "two halves are the batch",
    ),
    "noise in predictions": (classifier(own(drawn)), "same output twice"),
    "state in predictions": (classifier(Stateful), "same output twice"),
    "weights that are drawn anew": (classifier(DrawnWeights), "same training twice"),
    "the same layer again": (classifier(lambda: SHARED), "same training twice"),
    "probabilities as logits of ones": (classifier(own(lambda s, x: 0 * x)), "learns"),
    "loss to be raised": (
        classifier(
            dense,
            loss=lambda: (
                lambda y, p: 1 / (1e-3 + tf.reduce_sum(tf.square(p[:, :1] - p[:, :1]), axis=1)) + 0 * p[:, 0]
            ),
        ),
        "learns",
    ),
    "out of bounds": (classifier(dense, last=lambda: own(lambda s, x: 3 * x[:, :3])()), "bounds"),
    "replicas draw differently": (classifier(own(drawn)), "mirrored:2 trains the same"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_the_check_that_is_for_it(name):
    make, check = FAULTS[name]
    with np.errstate(all="ignore"):
        report = check_model(
            make,
            X,
            Y,
            strategies=("mirrored:2",),
            bounds=(-1.0, 1.0) if check == "bounds" else None,
            raises=False,
        )
    assert check in report.failed, str(report)
    hint = next(result.hint for result in report.results if result.check == check)
    assert hint.endswith(("?", "."))


def sound_model(seed):
    """A random sound model, its data, and its name."""
    rng = np.random.default_rng(seed)
    dtype = ("float32", "float64")[rng.integers(2)]
    activation = ("relu", "tanh", "gelu", "elu", "sigmoid", "silu")[rng.integers(6)]
    kind = rng.integers(4)
    hidden = [int(rng.integers(4, 20)) for _ in range(rng.integers(1, 4))]
    rate = (0.0, 0.2)[rng.integers(2)]
    penalty = (None, "l2")[rng.integers(2)]
    own_layers = bool(rng.integers(2))

    def body(inputs):
        h = inputs
        for width in hidden:
            h = layers.Dense(width, activation, kernel_regularizer=penalty)(h)
            h = Scaled()(h) if own_layers else h
            h = layers.Dropout(rate)(h) if rate else h
        return h

    def make():
        if kind == 3:
            inputs = keras.Input((8, 8, 1))
            outputs = layers.Dense(4)(body(layers.Flatten()(inputs)))
            loss = SPARSE
        else:
            inputs = keras.Input((6,))
            size, last, loss = [
                (3, None, SPARSE),
                (3, "softmax", "sparse_categorical_crossentropy"),
                (1, None, "mse"),
            ][kind]
            outputs = layers.Dense(size, last)(body(inputs))
        model = keras.Model(inputs, outputs, dtype=dtype, seed=int(seed))
        model.compile(keras.optimizers.Adam(0.01), loss)
        return model

    return make, [(X, Y), (X, Y), (XR, YR), easy_images(12)][kind]


SEEDS = range(int(os.environ.get("DISTRIB_TEST_MODELS", "25")))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_false_alarm(seed):
    make, (x, y) = sound_model(seed)
    report = check_model(make, x, y, strategies=("mirrored:2",))
    assert report.is_ok
    assert len(report.results) == 12


def test_a_model_by_subclass_on_all_strategies(capsys):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.scaled, self.logits = layers.Dense(8, "relu"), Scaled(), layers.Dense(3)

        def call(self, inputs):
            return self.logits(self.scaled(self.hidden(inputs)))

    def make():
        model = Own()
        model.compile("sgd", SPARSE)
        return model

    report = check_model(make, X, Y, strategies=("mirrored:2", "mirrored:3", "central:2", "ps-sync:2"))
    assert [each.check for each in report.results[-4:]] == [
        f"{each} trains the same" for each in ("mirrored:2", "mirrored:3", "central:2", "ps-sync:2")
    ]
    assert capsys.readouterr().out == ""


def test_what_fails_is_an_error_that_shows_all():
    with pytest.raises(
        AssertionError, match=r"(?s)does not pass examples do not mix.*ok   shapes.*FAIL examples do not"
    ):
        check_model(FAULTS["mean over the batch"][0], X, Y, strategies=(), skip=("two halves are the batch",))


def test_nothing_is_left_behind():
    distrib.set_random_seed(7)
    model = classifier(dense)()
    model.fit(X, Y, verbose=0)
    weights, state = model.get_weights(), np.random.get_state()[1].copy()
    check_model(classifier(dense), X, Y)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(state, np.random.get_state()[1])
    assert keras.Sequential([layers.Dense(1)]).name == "sequential_1"
    again = classifier(dense)()
    distrib.set_random_seed(7)
    assert not np.array_equal(classifier(dense)().get_weights()[0], np.zeros(1))
    assert again.get_weights()[0].shape == (6, 6) or again.get_weights()


@pytest.mark.parametrize("make", [easy_classification, easy_images, easy_regression])
def test_easy_data_is_learnt(make):
    x, y = make()
    is_regression = make is easy_regression
    model = keras.Sequential(
        [layers.Flatten(), layers.Dense(32, "relu"), layers.Dense(1 if is_regression else 4)]
    )
    model.compile(
        keras.optimizers.Adam(0.02),
        "mse" if is_regression else SPARSE,
        metrics=[] if is_regression else ["accuracy"],
    )
    model.fit(x, y, epochs=60, verbose=0)
    if is_regression:
        assert model.evaluate(x, y, verbose=0) < 0.02
    else:
        assert model.evaluate(x, y, verbose=0)[1] == 1.0
    buffer = io.BytesIO()
    np.save(buffer, x)
    np.testing.assert_array_equal(make()[0], x)
