"""`train_step` and `test_step` of users' own: n replicas train what one process trains."""

import numpy as np
import pytest
from helpers.ps import on_workers
from helpers.replicas import KINDS, difference, in_one_process, on_replicas

import distrib
import distrib.tf as tf
from distrib import keras
from distrib.keras import layers


def data(num_examples=45):
    rng = np.random.default_rng(1)
    return rng.normal(size=(num_examples, 6)), rng.integers(0, 3, num_examples)


class Classifier(keras.Model):
    """The step of Keras' guide, with dropout, a penalty and metrics in attributes."""

    def __init__(self):
        super().__init__(dtype="float64")
        self.hidden = layers.Dense(7, activation="tanh", kernel_regularizer="l2")
        self.dropout = layers.Dropout(0.4)
        self.logits = layers.Dense(3)
        self.accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self.entropy = keras.metrics.Mean(name="entropy")

    def call(self, inputs, training=None):
        return self.logits(self.dropout(self.hidden(inputs), training=training))

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            logits = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=logits)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))  # noqa: B905
        return self.measured(y, logits) | {
            "loss": loss,
            "largest": tf.reduce_mean(tf.reduce_max(logits, axis=1)),
        }

    def test_step(self, data):
        x, y = data
        logits = self(x, training=False)
        return self.measured(y, logits) | {"loss": self.compute_loss(y=y, y_pred=logits)}

    def measured(self, y, logits):
        self.accuracy.update_state(y, logits)
        probabilities = tf.nn.softmax(logits)
        self.entropy.update_state(
            -tf.reduce_mean(tf.reduce_sum(probabilities * tf.math.log(probabilities), axis=1))
        )
        return {m.name: m.result() for m in self.metrics if m.name != "loss"}


def body(strategy):
    x, y = data()
    model = Classifier()
    model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(x, y, batch_size=10, epochs=3, verbose=0, validation_data=(x[:9], y[:9]))
    tested = model.evaluate(x, y, batch_size=11, verbose=0, return_dict=True)
    return model.get_weights(), history.history, tested


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_replicas", [1, 2, 3, 4])
def test_a_step_of_ones_own(num_replicas, kind):
    weights, history, tested = in_one_process(body)
    assert set(history) == {
        "accuracy",
        "entropy",
        "loss",
        "largest",
        "val_accuracy",
        "val_entropy",
        "val_loss",
    }
    for found in on_replicas(num_replicas, body, kind=kind):
        assert difference(found[0], weights) < 1e-12
        for name, values in history.items():
            np.testing.assert_allclose(found[1][name], values, rtol=1e-12, err_msg=name)
        assert found[2] == pytest.approx(tested, rel=1e-12)


def test_it_is_what_fit_does_by_itself():
    """The same model without a step of its own: the same weights, losses and metrics."""

    class Plain(Classifier):
        train_step, test_step = keras.Model.train_step, keras.Model.test_step

    def fitted(model_class):
        x, y = data()
        model = model_class()
        model.compile(
            keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        history = model.fit(x, y, batch_size=10, epochs=3, verbose=0).history
        return model.get_weights(), history["loss"]

    own, plain = (in_one_process(lambda s, c=c: fitted(c)) for c in (Classifier, Plain))
    assert difference(own[0], plain[0]) < 1e-12
    np.testing.assert_allclose(own[1], plain[1], rtol=1e-12)


class Gan(keras.Model):
    """Keras' example: two models, two optimizers, no call, no targets."""

    def __init__(self):
        super().__init__(dtype="float64")
        options = {"dtype": "float64"}
        self.generator = keras.Sequential(
            [layers.Input((3,)), layers.Dense(6, "relu"), layers.Dense(2)], **options
        )
        self.discriminator = keras.Sequential(
            [layers.Input((2,)), layers.Dense(6), layers.LeakyReLU(0.2), layers.Dense(1)], **options
        )
        self.d_loss_metric, self.g_loss_metric = keras.metrics.Mean("d_loss"), keras.metrics.Mean("g_loss")

    def compile(self, d_optimizer, g_optimizer, loss_fn):
        super().compile()
        self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss_fn

    @property
    def metrics(self):
        return [self.d_loss_metric, self.g_loss_metric]

    def train_step(self, real):
        size = tf.shape(real)[0]
        noise = tf.random.normal((size, 3), dtype="float64")
        fake = self.generator(noise)
        both = tf.concat([fake, real], axis=0)
        labels = tf.concat([tf.ones((size, 1)), tf.zeros((size, 1))], axis=0)
        with tf.GradientTape() as tape:
            d_loss = self.loss_fn(labels, self.discriminator(both, training=True))
        gradients = tape.gradient(d_loss, self.discriminator.trainable_weights)
        self.d_optimizer.apply_gradients(zip(gradients, self.discriminator.trainable_weights))  # noqa: B905
        with tf.GradientTape() as tape:
            g_loss = self.loss_fn(
                tf.zeros((size, 1)), self.discriminator(self.generator(noise), training=False)
            )
        gradients = tape.gradient(g_loss, self.generator.trainable_weights)
        self.g_optimizer.apply_gradients(zip(gradients, self.generator.trainable_weights))  # noqa: B905
        self.d_loss_metric.update_state(d_loss)
        self.g_loss_metric.update_state(g_loss)
        return {"d_loss": self.d_loss_metric.result(), "g_loss": self.g_loss_metric.result()}


def gan(strategy):
    x = data()[0][:, :2]
    model = Gan()
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.optimizers.Adam(0.02),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )
    history = model.fit(x, batch_size=10, epochs=3, verbose=0).history
    return [*model.generator.get_weights(), *model.discriminator.get_weights()], history


@pytest.mark.parametrize("num_replicas", [1, 2, 3, 4])
def test_a_gan(num_replicas):
    weights, history = in_one_process(gan)
    assert set(history) == {"d_loss", "g_loss"}
    for found in on_replicas(num_replicas, gan):
        assert difference(found[0], weights) < 1e-12
        for name in history:
            np.testing.assert_allclose(found[1][name], history[name], rtol=1e-12)


class Logarithm(Gan):
    """Its loss is not finite for an example of zeros, and it returns a number that is no metric."""

    def train_step(self, real):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                tf.math.log(tf.abs(real)) * self.generator(tf.concat([real, real[:, :1]], 1))
            )
        gradients = tape.gradient(loss, self.generator.trainable_weights)
        self.g_optimizer.apply_gradients(zip(gradients, self.generator.trainable_weights))  # noqa: B905
        return {"loss": loss}


@pytest.mark.parametrize("model_class", [Gan, Logarithm])
@pytest.mark.parametrize("num_replicas", [2, 3, 4])
def test_batches_with_fewer_examples_than_replicas(num_replicas, model_class):
    """A replica without examples takes part in the updates of the step, from the first batch on."""

    def body(strategy):
        x = data()[0][:5, :2]
        model = model_class()
        model.compile(
            keras.optimizers.Adam(0.01),
            keras.optimizers.Adam(0.02),
            keras.losses.BinaryCrossentropy(from_logits=True),
        )
        history = model.fit(x, batch_size=2, epochs=2, verbose=0, shuffle=False).history
        return [*model.generator.get_weights(), *model.discriminator.get_weights()], history

    weights, history = in_one_process(body)
    for found in on_replicas(num_replicas, body):
        assert difference(found[0], weights) < 1e-12
        assert set(found[1]) == set(history)
        for name in history:
            np.testing.assert_allclose(found[1][name], history[name], rtol=1e-12)


class Stop(keras.callbacks.Callback):
    """Ends the training as a signal would."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


class Counts(keras.layers.Layer):
    """Keeps the number of examples that it has seen in training."""

    def build(self, input_shape):
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, aggregation="sum")

    def call(self, inputs, training=False):
        if training:
            self.count.assign_add(float(len(inputs)))
        return inputs


def gan_with_a_backup(strategy, folder, interrupt=False):
    x = data()[0][:15, :2]
    model = Gan()
    model.discriminator = keras.Sequential(
        [layers.Input((2,)), Counts(), *model.discriminator.layers], dtype="float64"
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.optimizers.SGD(0.02, momentum=0.9),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )
    callbacks = [keras.callbacks.BackupAndRestore(folder), *([Stop()] if interrupt else [])]
    try:
        model.fit(x, batch_size=4, epochs=4, verbose=0, callbacks=callbacks)
    except KeyboardInterrupt:
        assert interrupt
    return [each.numpy() for each in model.variables], int(model.g_optimizer.iterations)


@pytest.mark.parametrize(("before", "after"), [(1, 1), (1, 3), (3, 2)])
def test_a_gan_goes_on_where_it_was(tmp_path, before, after):
    """With the moments of both optimizers, the values of both models, and what layers keep, on every replica."""
    weights, steps = in_one_process(lambda s: gan_with_a_backup(s, tmp_path / "whole"))
    on_replicas(before, lambda s: gan_with_a_backup(s, tmp_path / "parts", interrupt=True))
    assert steps == 16
    for found in on_replicas(after, lambda s: gan_with_a_backup(s, tmp_path / "parts")):
        assert difference(found[0], weights) < 1e-12
        assert found[1] == steps


def test_a_gan_is_saved_and_loaded(tmp_path, caplog):
    model, x = Gan(), data()[0][:, :2]
    model.compile(
        keras.optimizers.Adam(), keras.optimizers.Adam(), keras.losses.BinaryCrossentropy(from_logits=True)
    )
    model.fit(x, epochs=1, verbose=0)
    model.save(tmp_path / "gan")
    loaded = keras.models.load_model(tmp_path / "gan", custom_objects={"Gan": Gan})
    assert "call compile before you train the model" in caplog.text
    assert difference(loaded.get_weights(), model.get_weights()) == 0
    model.save_weights(tmp_path / "gan.weights.safetensors")
    loaded.set_weights([np.zeros_like(each) for each in loaded.get_weights()])
    loaded.load_weights(tmp_path / "gan.weights.safetensors")
    assert difference(loaded.get_weights(), model.get_weights()) == 0
    model.compile(
        keras.optimizers.SGD(), keras.optimizers.Adam(), keras.losses.BinaryCrossentropy(from_logits=True)
    )
    with pytest.raises(distrib.StorageError, match="another optimizer as d_optimizer: Adam"):
        tf.train.Checkpoint(model=model).restore(tmp_path / "gan")


def test_a_step_in_a_graph():
    """A subclass with a step, of a graph of layers: Keras' CustomModel(inputs, outputs)."""

    class Custom(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
            return {m.name: m.result() for m in self.metrics}

    def fitted(model_class):
        x, y = data()
        inputs = keras.Input((6,))
        model = model_class(inputs, layers.Dense(3)(layers.Dense(5, "relu")(inputs)), dtype="float64")
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return (
            model.get_weights(),
            model.fit(x, y, batch_size=10, epochs=2, verbose=0).history,
            model.summary(print_fn=str),
        )

    own, plain = (in_one_process(lambda s, c=c: fitted(c)) for c in (Custom, keras.Model))
    np.testing.assert_allclose(own[1]["loss"], plain[1]["loss"], rtol=1e-12)


def test_what_a_step_must_not_do_is_a_sentence():
    x, y = data()

    def fit(step):
        model = type("Own", (Classifier,), {"train_step": step})()
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(x, y, verbose=0)

    def applied(self, times, variables=None):
        loss = tf.reduce_sum(self(x) ** 2)
        variables = variables or self.trainable_variables
        for _ in range(times):
            self.optimizer.apply([tf.zeros_like(v) for v in variables], variables)
        return {"loss": loss}

    for step, match in [
        (lambda self, data: applied(self, 0), "applies gradients with self.optimizer. It has not"),
        (lambda self, data: applied(self, 2), "self.optimizer once. Received: another call"),
        (
            lambda self, data: applied(self, 1, [distrib.Variable(np.ones(2), name="w")]),
            "trainable variables. Received: w",
        ),
        (lambda self, data: None, "returns a dict"),
        (lambda self, data: applied(self, 1) and {"loss": np.ones(3)}, "of shape"),
    ]:
        with pytest.raises(distrib.ConfigError, match=match):
            fit(step)


@pytest.mark.parametrize("num_workers", [1, 3])
def test_synchronous_parameter_servers(num_workers):
    def fitted(strategy):
        x, y = data()
        model = Classifier()
        model.compile(
            keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        history = model.fit(x, y, batch_size=10, epochs=3, verbose=0).history
        return model.get_weights(), history

    weights, history = in_one_process(fitted)
    for found in on_workers(num_workers, fitted, mode="sync"):
        assert difference(found[0], weights) < 1e-12
        for name, values in history.items():
            np.testing.assert_allclose(found[1][name], values, rtol=1e-12, err_msg=name)


class Autoencoder(keras.Model):
    """As in Keras' variational autoencoder: two graphs, no call, one optimizer, noise for each example."""

    def __init__(self):
        super().__init__(dtype="float64")
        inputs = keras.Input((6,))
        h = layers.Dense(8, activation="relu")(inputs)
        mean, log_var = layers.Dense(2)(h), layers.Dense(2)(h)
        self.encoder = keras.Model(inputs, [mean, log_var], dtype="float64")
        self.decoder = keras.Sequential([layers.Input((2,)), layers.Dense(6)], dtype="float64")
        self.total = keras.metrics.Mean(name="total")

    @property
    def metrics(self):
        return [self.total]

    def train_step(self, data):
        with tf.GradientTape() as tape:
            mean, log_var = self.encoder(data)
            z = mean + tf.exp(0.5 * log_var) * keras.random.normal(keras.ops.shape(mean), dtype="float64")
            error = keras.ops.mean(keras.ops.sum(keras.ops.square(self.decoder(z) - data), axis=1))
            divergence = -0.5 * keras.ops.mean(1 + log_var - keras.ops.square(mean) - keras.ops.exp(log_var))
            loss = error + divergence
        self.optimizer.apply_gradients(
            zip(tape.gradient(loss, self.trainable_weights), self.trainable_weights, strict=True)
        )
        self.total.update_state(loss)
        return {"loss": self.total.result(), "divergence": divergence}


def autoencoder(strategy):
    model = Autoencoder()
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    history = model.fit(data()[0], batch_size=10, epochs=3, verbose=0).history
    return [each.numpy() for each in model.trainable_weights], history


@pytest.mark.parametrize("num_replicas", [1, 2, 3, 4])
def test_an_autoencoder(num_replicas):
    weights, history = in_one_process(autoencoder)
    assert history["loss"][-1] < history["loss"][0]
    for found in on_replicas(num_replicas, autoencoder):
        assert difference(found[0], weights) < 1e-12
        for name in ("loss", "divergence"):
            np.testing.assert_allclose(found[1][name], history[name], rtol=1e-12)


def test_several_replicas_may_not_add_means():
    def body(strategy):
        v = distrib.Variable(np.ones((2, 1)))
        with (
            tf.GradientTape(),
            pytest.raises(distrib.ConfigError, match="divides by the number of examples of this replica"),
        ):
            keras.losses.MeanSquaredError()(np.zeros((3, 1)), np.ones((3, 2)) @ v)
        with tf.GradientTape():
            keras.losses.MeanSquaredError(reduction="none")(np.zeros((3, 1)), np.ones((3, 2)) @ v)
        keras.losses.MeanSquaredError()(np.zeros((3, 1)), np.ones((3, 1)))
        return True

    assert on_replicas(2, body) == [True, True]


def test_a_model_that_adds_its_own_loss_needs_no_other():
    class Penalty(layers.Layer):
        def call(self, inputs):
            self.add_loss(0.1 * keras.ops.mean(keras.ops.square(inputs)))
            return inputs

    inputs = keras.Input((6,))
    model = keras.Model(inputs, Penalty()(layers.Dense(2)(inputs)))
    model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(data()[0], epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    plain = keras.Model(inputs, layers.Dense(2)(inputs))
    with pytest.raises(distrib.ConfigError, match="expects a loss"):
        plain.compile("sgd")


@pytest.mark.parametrize("kind", ["binary", "sparse", "one-hot"])
def test_metrics_of_compile_in_a_step(kind):
    """As in `fit` without a step: accuracy follows from the targets."""

    class Own(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(x, y, y_pred)
            self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
            return self.compute_metrics(x, y, y_pred) | {"loss": loss}

    x, labels = data()
    units, activation, loss, y = {
        "binary": (1, "sigmoid", "binary_crossentropy", (labels > 0).astype(float)),
        "sparse": (3, "softmax", "sparse_categorical_crossentropy", labels),
        "one-hot": (3, "softmax", "categorical_crossentropy", np.eye(3)[labels]),
    }[kind]

    def fitted(model_class):
        inputs = keras.Input((6,))
        model = model_class(inputs, layers.Dense(units, activation)(inputs), dtype="float64")
        model.compile("adam", loss, metrics=["accuracy"])
        return model.fit(x, y, batch_size=10, epochs=2, verbose=0).history

    own, plain = (in_one_process(lambda s, c=c: fitted(c)) for c in (Own, keras.Model))
    assert own.keys() == plain.keys()
    for name in plain:
        np.testing.assert_allclose(own[name], plain[name], rtol=1e-9)


def test_a_step_with_several_outputs():
    class Own(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
            return {"loss": loss}

    def fitted(model_class):
        inputs = keras.Input((6,))
        outputs = {"b": layers.Dense(1, name="b")(inputs), "a": layers.Dense(3, name="a")(inputs)}
        model = model_class(inputs, outputs, dtype="float64")
        model.compile("adam", {"a": "mse", "b": "mae"}, loss_weights={"a": 2.0, "b": 1.0})
        x, labels = data()
        y = {"a": np.eye(3)[labels], "b": x[:, :1] * 2}
        return model.fit(x, y, batch_size=10, epochs=2, verbose=0).history["loss"]

    own, plain = (in_one_process(lambda s, c=c: fitted(c)) for c in (Own, keras.Model))
    np.testing.assert_allclose(own, plain, rtol=1e-9)


class Numbers(keras.Model):
    """`same` is the accuracy of a part's first batch, if that is wholly right; `rows` is the number after it."""

    def __init__(self):
        super().__init__(dtype="float64")
        self.dense = layers.Dense(1)
        self.accuracy = keras.metrics.Mean(name="accuracy")
        self.changes_keys = False

    def call(self, inputs):
        return self.dense(inputs)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self(x) - y))
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        self.accuracy.update_state(y)
        numbers = {"same": 1.0, "accuracy": self.accuracy.result(), "rows": tf.reduce_mean(x)}
        self.changes_keys = not self.changes_keys
        return numbers if self.changes_keys or x.shape[1] < 3 else {"rows": 1.0}


def numbers(strategy):
    x = np.arange(24.0).reshape(12, 2) / 24
    y = np.repeat([[1.0], [0.5], [1.0], [0.25]], 3, axis=0)
    model = Numbers()
    model.compile(keras.optimizers.SGD(0.1))
    return model.fit(x, y, batch_size=6, epochs=2, verbose=0, shuffle=False).history


@pytest.mark.parametrize("num_replicas", [1, 2, 3, 4])
def test_a_number_that_equals_a_metric_by_chance(num_replicas):
    """On the first part of two, the first batch has the accuracy 1, which the number `same` always is."""
    expected = in_one_process(numbers)
    assert expected["same"] == [1.0, 1.0]
    for found in on_replicas(num_replicas, numbers):
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-12, err_msg=name)


def test_a_step_returns_the_same_keys_each_time():
    model = Numbers()
    model.compile(keras.optimizers.SGD(0.1))
    with pytest.raises(
        distrib.ConfigError, match=r"same keys.*Expected: same, accuracy, rows\. Received: rows\."
    ):
        model.fit(np.ones((4, 3)), np.ones((4, 1)), batch_size=2, verbose=0)
