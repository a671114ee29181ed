"""Arguments that are invalid raise an error with a sentence, before anything is trained."""

import inspect
import re

import numpy as np
import pytest

import distrib
from distrib import callbacks, layers

X, Y = np.ones((20, 4)), np.arange(20) % 3


def make_model(metrics=None, **kwargs):
    model = distrib.Sequential([layers.Dense(3, activation="softmax", input_shape=(4,))], seed=1)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics, **kwargs)
    return model


def public_callables():
    """All that a user calls: classes, functions, and the methods of a model."""
    modules = [
        distrib,
        distrib.layers,
        distrib.optimizers,
        distrib.losses,
        distrib.metrics,
        distrib.activations,
    ]
    modules += [
        distrib.initializers,
        distrib.regularizers,
        callbacks,
        distrib.train,
        distrib.cluster_resolver,
    ]
    found = {}
    for module in modules:
        for name in module.__all__:
            each = getattr(module, name)
            is_error = inspect.isclass(each) and issubclass(each, Exception)
            takes_names = callable(each) and not is_error and not inspect.isabstract(each)
            if takes_names and name not in IGNORED:
                found[name] = each
    model = make_model()
    for name in (
        "fit",
        "evaluate",
        "predict",
        "train_on_batch",
        "compile",
        "save",
        "save_weights",
        "load_weights",
    ):
        found[name] = getattr(model, name)
    return found


# Not called with options: values and protocols, and functions of one or no argument.
IGNORED = {
    "ReduceOp", "Task", "Variable", "constant", "ReplicaContext", "get", "from_config", "reset", "set_random_seed",
    "get_replica_context", "get_strategy", "has_strategy", "resolve", "digits", "fashion_mnist", "Callback",
    "strategy_from_cluster", "latest_checkpoint", "checkpoints_iterator", "ClusterSpec", "Checkpoint",
    "serialize", "deserialize",
}  # fmt: skip


REQUIRED = {
    "train_and_evaluate": {"model": None, "train_data": None, "eval_data": None, "checkpoint_dir": "x"},
    "CheckpointManager": {"checkpoint": None, "directory": "x"},
    "compile": {"optimizer": "sgd", "loss": "mse"},
}


@pytest.mark.parametrize("name", public_callables())
def test_an_argument_that_there_is_not_is_named(name):
    with pytest.raises(distrib.ConfigError, match="verbos") as caught:
        public_callables()[name](**REQUIRED.get(name, {}), verbos=3)
    assert re.search(r"Did you mean|There are:", str(caught.value)), caught.value


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda m: m.fit(X, Y, epochs="3"),
            "fit expects epochs to be an integer. Received: epochs='3' of type str",
        ),
        (lambda m: m.fit(X, Y, batch_size=32.0), "fit expects batch_size to be an integer or None"),
        (lambda m: m.fit(X, Y, steps_per_epoch=2.0), "steps_per_epoch to be an integer or None"),
        (lambda m: m.fit(X, Y, validation_freq=0), "validation_freq >= 1"),
        (lambda m: m.fit(X, Y, validation_freq=[1, 2]), "validation_freq to be an integer"),
        (lambda m: m.fit(X, Y, epochs=-1), "epochs >= 0"),
        (lambda m: m.fit(X, Y, epochs=True), "epochs to be an integer"),
        (lambda m: m.fit(X, Y, steps_per_epoch=0), "steps_per_epoch >= 1"),
        (lambda m: m.fit(X, Y, validation_batch_size=0, validation_split=0.5), "validation_batch_size >= 1"),
        (lambda m: m.fit(X, Y, validation_split="0.5"), "validation_split to be a number"),
        (lambda m: m.fit(X, Y, verbose=3), "verbose"),
        (lambda m: m.fit(X, Y, shuffle="batch"), "shuffle to be True or False"),
        (lambda m: m.fit(X, Y, callbacks=[callbacks.History]), "each an instance"),
        (lambda m: m.fit(X, Y, callbacks=print), "derived from distrib.callbacks.Callback"),
        (lambda m: m.fit(X, Y, validation_data=X), r"validation_data as \(x, y\)"),
        (lambda m: m.fit(X, Y, validation_data=(X,)), r"validation_data as \(x, y\).*tuple of 1"),
        (lambda m: m.fit(X, Y, validation_data=(iter([]), Y)), "validation_data takes arrays"),
        (lambda m: m.fit(X, Y, workers=4), "fit has no argument workers"),
        (lambda m: m.fit(X), "fit expects targets y"),
        (
            lambda m: m.fit((X[i : i + 1] for i in range(3)), Y),
            "fit takes y beside arrays alone.*generator",
        ),
        (lambda m: m.fit({1, 2}, Y), "fit takes y beside arrays alone. Received: x of type set"),
        (lambda m: m.evaluate(iter([X])), "evaluate expects batches"),
        (lambda m: m.evaluate(X), "evaluate expects targets y"),
        (lambda m: m.evaluate(X, Y, batch_size=2.5), "evaluate expects batch_size"),
        (lambda m: m.predict(X, batch_size="3"), "predict expects batch_size"),
        (lambda m: m.predict(X, batch_size=0), "batch_size >= 1"),
        (lambda m: m.train_on_batch(X), "train_on_batch expects targets y"),
        (lambda m: m.compile("sgd"), "compile expects a loss"),
        (lambda m: m.compile("sgd", "mse", metrics={"a": "mae", "b": "mae"}), "by the names of the outputs"),
        (lambda m: m.compile("sgd", "mse", metrics=[["accuracy"]]), "metrics as names or instances"),
        (lambda m: m.compile(3, "mse"), "optimizer"),
        (lambda m: m.save(), "save expects filepath"),
        (
            lambda m: layers.Dense(3, unit=4),
            "Dense has no argument unit. Received: unit=4. Did you mean units",
        ),
        (lambda m: layers.Dense(), "Dense expects units.* Missing: units"),
        (lambda m: layers.Dense("10"), "Dense expects units"),
        (lambda m: layers.Dropout("0.5"), "Dropout expects rate to be a number. Received: rate='0.5'"),
        (lambda m: layers.Flatten(1, 2, 3), "Flatten takes 1 arguments at most"),
        (lambda m: distrib.optimizers.Adam(lr=0.1), "Adam has no argument lr"),
        (lambda m: distrib.optimizers.Adam(beta_1="0.9"), "Adam expects beta_1 to be a number"),
        (lambda m: distrib.optimizers.SGD([0.1]), "learning_rate"),
        (lambda m: distrib.MirroredStrategy(device=["/cpu:0"]), "MirroredStrategy has no argument device"),
        (lambda m: distrib.CommunicationOptions(timeout="1"), "no argument timeout.* Did you mean timeout_s"),
        (lambda m: distrib.CommunicationOptions(timeout_s="1"), "timeout_s to be a number"),
        (lambda m: callbacks.EarlyStopping(patience="3"), "EarlyStopping expects patience to be an integer"),
        (lambda m: callbacks.EarlyStopping(patient=3), "Did you mean patience"),
        (lambda m: distrib.DropStale("4"), "DropStale expects"),
        (lambda m: distrib.local_cluster(num_worker=1), "Did you mean num_workers"),
    ],
)
def test_words_in_place_of_bare_errors(call, words):
    model = make_model()
    before = model.get_weights()
    with pytest.raises(distrib.ConfigError, match=words):
        call(model)
    assert all(map(np.array_equal, before, model.get_weights())), "something was trained"


def test_a_users_subclass_may_have_arguments_and_attributes_of_its_own():
    class Gain(layers.Flatten):
        def __init__(self, gain, **kwargs):
            super().__init__(**kwargs)
            self.gain = gain

    layer = Gain("much", name="gain")
    layer.other = 3
    with pytest.raises(TypeError):
        Gain()


@pytest.mark.parametrize(
    "metrics",
    ["accuracy", ["accuracy"], ("accuracy",), distrib.metrics.SparseCategoricalAccuracy("accuracy")],
    ids=["name", "list", "tuple", "instance"],
)
def test_one_metric_need_not_be_in_a_list(metrics):
    model = make_model(metrics)
    assert set(model.fit(X, Y, verbose=0).history) == {"loss", "accuracy"}
    weighted = make_model(weighted_metrics=metrics)
    assert set(weighted.fit(X, Y, verbose=0).history) == {"loss", "accuracy"}
