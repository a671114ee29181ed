"""Models of symbolic tensors: any graph of layers trains as in one process, and one in a row as a Sequential."""

import gc

import numpy as np
import pytest
from helpers.places import PLACES, everywhere
from helpers.replicas import KINDS, difference, in_one_process, on_replicas

import distrib
from distrib import Input, Model, layers

rng = np.random.default_rng(5)
X, A, B = rng.normal(size=(26, 5)), rng.normal(size=(26, 4)), rng.normal(size=(26, 4))
LABELS, VALUES = rng.integers(0, 3, 26), rng.normal(size=(26, 2))
WEIGHTS = rng.uniform(0.2, 2.0, 26)


def in_a_row(inputs, seed=3):
    """The same layers as a graph of tensors, named as in a `Sequential`."""
    hidden = layers.Dense(6, activation="tanh", name="dense")
    out = layers.Dense(3, activation="softmax", name="dense_1")
    return Model(inputs, out(hidden(inputs)), dtype="float64", seed=seed)


def two_outputs(strategy=None, **options):
    """A layer that two inputs share and that is applied twice to one of them, a nested model, and two outputs."""
    first, second = Input((4,), name="first"), Input((4,), name="second")
    shared = layers.Dense(4, activation="tanh", kernel_regularizer="l2", name="shared")
    tower = distrib.Sequential([layers.Dense(5, activation="relu"), layers.Dense(4)], name="tower")
    left, right = shared(shared(first)), tower(shared(second))
    labels = layers.Dense(3, activation="softmax", name="labels")(tower(left))
    values = layers.Dense(2, name="values")(layers.Dropout(0.3, name="drop")(right))
    model = Model([first, second], [labels, values], dtype="float64", seed=2)
    model.compile(
        distrib.optimizers.Adam(0.05),
        {"labels": "sparse_categorical_crossentropy", "values": "mse"},
        loss_weights={"values": 0.3},
        metrics={"labels": ["accuracy"]},
        **options,
    )
    return model


def trained(strategy):
    model = two_outputs()
    history = model.fit(
        {"first": A, "second": B}, [LABELS, VALUES], batch_size=8, epochs=3, sample_weight=WEIGHTS, verbose=0
    )
    tested = model.evaluate([A, B], {"labels": LABELS, "values": VALUES}, verbose=0)
    return model.get_weights(), history.history, tested, model.predict([A, B])


def test_layers_in_a_row_are_a_sequential():
    model = in_a_row(Input((5,)))
    same = distrib.Sequential([Input((5,)), *model.layers[1:]], dtype="float64", seed=3)
    other = distrib.Sequential(
        [Input((5,)), layers.Dense(6, activation="tanh"), layers.Dense(3, activation="softmax")],
        dtype="float64",
        seed=3,
    )
    for mine, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for each in (model, other):
        each.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        each.fit(X, LABELS, epochs=2, verbose=0)
    for mine, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(same.predict(X), model.predict(X))
    assert model.evaluate(X, LABELS, verbose=0) == other.evaluate(X, LABELS, verbose=0)


def gradients(model, inputs, targets):
    """The gradient of the summed loss by the network, and by central differences."""
    network, config = model.network, model.compile_config
    objective = config.objective(network, targets)
    prepared = config.prepare(targets, network)
    draw = distrib.nn.rng.RngKey(1, 0, 0)

    def value():
        return network.train_on(inputs, prepared, WEIGHTS, draw, objective).loss

    value()
    found, values = network.buffer.grads.copy(), network.buffer.values
    expected = np.empty_like(found)
    for index in range(values.size):
        kept = values[index]
        values[index] = kept + 1e-6
        above = value()
        values[index] = kept - 1e-6
        expected[index] = (above - value()) / 2e-6
        values[index] = kept
    return found, expected


def test_gradients_of_a_graph():
    found, expected = gradients(two_outputs(), (A, B), (LABELS, VALUES))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_gradients_of_an_output_without_a_loss_and_of_one_that_is_read_again():
    inputs = Input((4,))
    middle = layers.Dense(3, activation="softmax", name="middle")(inputs)
    unused = layers.Dense(2, name="unused")(inputs)
    end = layers.Dense(2, name="end")(middle)
    model = Model(inputs, {"m": middle, "u": unused, "e": end}, dtype="float64", seed=1)
    model.compile("sgd", {"m": "sparse_categorical_crossentropy", "e": "mse"})
    model.network.buffer.grads.fill(np.nan)
    found, expected = gradients(model, A, (LABELS, VALUES, VALUES))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert set(model.predict(A, verbose=0)) == {"m", "u", "e"}


@pytest.mark.parametrize("place", [*PLACES, "mirrored-4"])
def test_a_graph_with_shared_layers_and_two_outputs_trains_as_one_process(place):
    weights, history, tested, predicted = in_one_process(trained)
    assert set(history) == {"loss", "labels_loss", "values_loss", "labels_accuracy"}
    for each in everywhere(place, trained):
        assert difference(each[0], weights) < 1e-12
        for name, values in history.items():
            np.testing.assert_allclose(each[1][name], values, rtol=1e-12)
        np.testing.assert_allclose(each[2], tested, rtol=1e-12)
        for mine, theirs in zip(each[3], predicted, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-10)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "overlapped" in kind])
def test_a_graph_is_sent_while_it_is_computed(kind):
    weights = in_one_process(trained)[0]
    for each in on_replicas(3, trained, kind=kind):
        assert difference(each[0], weights) < 1e-12


def test_the_loss_is_the_weighted_sum_and_the_order_is_that_of_keras():
    model = two_outputs()
    total, labels, values, accuracy = model.evaluate([A, B], [LABELS, VALUES], verbose=0)
    penalty = 0.01 * float(np.sum(model.get_layer("shared").kernel.numpy() ** 2))
    assert total == pytest.approx(labels + 0.3 * values + penalty, rel=1e-12)
    assert 0 <= accuracy <= 1
    named = model.evaluate([A, B], [LABELS, VALUES], verbose=0, return_dict=True)
    assert named["labels_loss"] == labels


def test_a_model_within_a_model_is_a_layer_of_it():
    model = two_outputs()
    assert [layer.name for layer in model.layers if layer.name == "tower"] == ["tower"]
    names = list(model.network.variables)
    assert "tower/dense/kernel" in names
    inner = model.get_layer("tower")
    np.testing.assert_array_equal(inner.get_weights()[0], model.network.variables["tower/dense/kernel"].value)
    lines = []
    model.summary(print_fn=lines.append, expand_nested=True, show_trainable=True)
    text = "\n".join(lines)
    assert "shared[0][0]" in text
    assert "└ dense_1 (Dense)" in text
    assert "Connected to" in text


def test_part_of_a_model_by_the_tensors_of_its_layers():
    base = distrib.Sequential(
        [Input((5,)), layers.Dense(6, activation="tanh", name="features"), layers.Dense(3)],
        dtype="float64",
        seed=1,
    )
    base.build()
    features = Model(base.input, base.get_layer("features").output, dtype="float64")
    kernel, bias = base.get_weights()[:2]
    np.testing.assert_allclose(features.predict(X, verbose=0), np.tanh(X @ kernel + bias), rtol=1e-12)
    base.compile("sgd", "mse")
    base.fit(X, rng.normal(size=(26, 3)), verbose=0)
    kernel, bias = base.get_weights()[:2]
    np.testing.assert_allclose(features.predict(X, verbose=0), np.tanh(X @ kernel + bias), rtol=1e-12)


def adversaries(strategy):
    """A GAN's shape: a model that is trained alone, and, frozen, within another one."""
    judge = distrib.Sequential(
        [Input((4,)), layers.Dense(6, activation="tanh"), layers.Dense(1, activation="sigmoid")],
        dtype="float64",
        seed=1,
        name="judge",
    )
    judge.compile(distrib.optimizers.SGD(0.1), "binary_crossentropy")
    maker = distrib.Sequential([Input((5,)), layers.Dense(4)], dtype="float64", seed=2, name="maker")
    judge.trainable = False
    noise = Input((5,))
    joint = Model(noise, judge(maker(noise)), dtype="float64", seed=3)
    joint.compile(distrib.optimizers.SGD(0.1), "binary_crossentropy")
    assert [entry.name for entry in joint.network.buffer.layout] == ["maker/dense/kernel", "maker/dense/bias"]
    losses = []
    for _ in range(6):
        made = maker.predict(X[:8], verbose=0)
        batch, real = np.concatenate([A[:8], made]), np.r_[np.ones(8), np.zeros(8)]
        before = judge.get_weights()[0]
        losses.append(judge.train_on_batch(batch, real))
        assert not np.array_equal(judge.get_weights()[0], before), "it was compiled before it was frozen"
        before = judge.get_weights()[0]
        losses.append(joint.train_on_batch(X[:8], np.ones(8)))
        np.testing.assert_array_equal(judge.get_weights()[0], before)
    return judge.get_weights() + maker.get_weights(), losses


@pytest.mark.parametrize("place", ["mirrored-2", "mirrored-3", "central-2"])
def test_two_models_that_share_layers_train_in_turns(place):
    weights, losses = in_one_process(adversaries)
    for each in everywhere(place, adversaries):
        assert difference(each[0], weights) < 1e-12
        np.testing.assert_allclose(each[1], losses, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Model(Input((4,)), layers.Dense(2)(Input((4,), name="other"))), "input 'other'"),
        (lambda: Model(X, X), "symbolic tensors"),
        (lambda: Model(Input((3,))), "inputs and outputs"),
        (lambda: layers.Dense(2)([Input((4,)), Input((4,))]), "one input"),
        (lambda: layers.Dropout(0.5)(Input((4,)), training=True), "training=True"),
        (lambda: np.asarray(Input((4,))), "no values"),
        (lambda: two_outputs().fit(A, [LABELS, VALUES]), "list of 2 arrays"),
        (lambda: two_outputs().fit({"first": A, "third": B}, [LABELS, VALUES]), r"Missing: \['second'\]"),
        (lambda: two_outputs().fit([A, B[:3]], [LABELS, VALUES]), "number of examples"),
        (lambda: two_outputs().predict([A, B[:, :2]]), r"\(batch, 4\)"),
        (lambda: two_outputs().compile("sgd", {"label": "mse"}), "labels, values"),
        (lambda: two_outputs().compile("sgd", ["mse"]), "2 outputs"),
        (lambda: two_outputs()([Input((4,)), Input((3,))]), "takes inputs"),
        (lambda: two_outputs().get_layer("nothing"), "No layer"),
        (lambda: layers.Dense(2).output, "called 0 times"),
    ],
)
def test_what_makes_no_graph_is_said(make, match):
    with pytest.raises(distrib.DistribError, match=match):
        make()


def test_calls_on_arrays():
    dense = layers.Dense(3, activation="relu")
    outputs = dense(X.astype(np.float32))
    assert outputs.numpy().shape == (26, 3)
    kernel, bias = dense.get_weights()
    np.testing.assert_allclose(outputs, np.maximum(X.astype(np.float32) @ kernel + bias, 0), rtol=1e-5)
    model = two_outputs()
    labels, _ = model([A, B])
    np.testing.assert_array_equal(labels.numpy(), model.predict_on_batch([A, B])[0])
    assert model.test_on_batch([A, B], [LABELS, VALUES]) == pytest.approx(
        model.evaluate([A, B], [LABELS, VALUES], verbose=0)
    )
    noisy = distrib.Sequential([layers.Dense(3), layers.Dropout(0.5)])
    first, second = noisy(X, training=True), noisy(X, training=True)
    assert not np.array_equal(first, second), "each call draws others"
    np.testing.assert_allclose(noisy(X), noisy.predict(X, verbose=0))


def test_a_saved_graph_goes_on_where_it_was(tmp_path):
    model = two_outputs()
    model.fit([A, B], [LABELS, VALUES], batch_size=8, verbose=0)
    model.save(tmp_path / "model")
    loaded = distrib.load_model(tmp_path / "model")
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    assert loaded.input_names == ["first", "second"]
    for mine, theirs in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    histories = [
        each.fit([A, B], [LABELS, VALUES], batch_size=8, verbose=0).history for each in (model, loaded)
    ]
    assert histories[0] == histories[1]
    for mine, theirs in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_saved_row_with_a_model_in_it(tmp_path):
    inner = distrib.Sequential([layers.Dense(4, activation="relu"), layers.Dense(3)], name="inner")
    model = distrib.Sequential([Input((5,)), inner, layers.Activation("softmax")], dtype="float64")
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, LABELS, verbose=0)
    model.save(tmp_path / "model")
    loaded = distrib.load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert [type(layer).__name__ for layer in loaded.layers] == ["Sequential", "Activation"]


def test_configurations_make_the_same_model_again():
    model = two_outputs()
    for again in (
        distrib.models.clone_model(model),
        distrib.models.model_from_json(model.to_json()),
        Model.from_config(model.get_config()),
    ):
        assert again.get_config() == model.get_config()
        again.set_weights(model.get_weights())
        for mine, theirs in zip(again.predict([A, B]), model.predict([A, B]), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert not np.array_equal(distrib.models.clone_model(model).get_weights()[0], model.get_weights()[0])


def test_a_clone_with_other_layers():
    def wider(layer):
        if isinstance(layer, layers.Dense) and layer.units == 6:
            return layers.Dense(8, activation=layer.activation)
        return type(layer).from_config(layer.get_config())

    model = in_a_row(Input((5,)))
    assert distrib.models.clone_model(model, clone_function=wider).get_layer("dense").units == 8
    with pytest.raises(distrib.ConfigError, match="input_tensors"):
        distrib.models.clone_model(model, Input((5,)))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"class": "Functional"}', '{"class": "Own", "name": "x"}'])
def test_what_is_no_configuration_is_said(text):
    with pytest.raises(distrib.ConfigError):
        distrib.models.model_from_json(text)


def test_the_weight_of_an_only_loss():
    def trained_with(weight, rate):
        model = in_a_row(Input((5,)))
        model.compile(
            distrib.optimizers.SGD(rate),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            loss_weights=weight,
        )
        return model, model.fit(X, LABELS, batch_size=8, verbose=0).history

    (half, history), (whole, expected) = trained_with([0.5], 0.2), trained_with(None, 0.1)
    assert set(history) == {"loss", "accuracy"}
    assert difference(half.get_weights(), whole.get_weights()) < 1e-12
    assert 2 * history["loss"][0] == pytest.approx(expected["loss"][0], rel=1e-12)


def test_a_configuration_of_an_unknown_layer_names_it():
    config = in_a_row(Input((5,))).get_config()
    config["layers"][1]["class"] = "Own"
    with pytest.raises(distrib.ConfigError, match=r"^Expected a built-in layer: .*Received: 'Own'"):
        Model.from_config(config)


def test_a_layer_that_is_added_after_a_frozen_one_was_taken_away_learns():
    model = distrib.Sequential([Input((5,)), layers.Dense(4), layers.Dense(3)], dtype="float64")
    model.layers[1].trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    gone = id(model.pop())
    gc.collect()
    others = [layers.Dense(3) for _ in range(2000)]
    assert gone not in map(id, others), "the frozen layers are known by their id"
    model.add(others[0])
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()[2]
    model.fit(X, LABELS, verbose=0)
    assert not np.array_equal(model.get_weights()[2], before)


def test_inputs_that_no_output_needs(tmp_path):
    a, b = distrib.Input((4,), name="a"), distrib.Input((2,), name="b")
    model = distrib.Model([b, a], distrib.layers.Dense(2)(a), seed=1)
    assert [layer.name for layer in model.layers] == ["a", "b", "dense"], "as in Keras"
    model.compile("sgd", "mse")
    x = [np.ones((5, 2), np.float32), np.ones((5, 4), np.float32)]
    model.fit(x, np.zeros((5, 2), np.float32), verbose=0)
    for name in ("folder", "model.keras"):
        model.save(tmp_path / name)
        found = distrib.load_model(tmp_path / name)
        np.testing.assert_array_equal(found.predict(x, verbose=0), model.predict(x, verbose=0))
