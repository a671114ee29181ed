"""What optimizers keep besides slots: moving averages, exclusions, whose variables they train, their numbers."""

import json

import numpy as np
import pytest
from helpers.ps import on_workers
from helpers.replicas import KINDS, difference, in_one_process, on_replicas

import distrib
from distrib import keras
from distrib.base.errors import ConfigError
from distrib.nn.optimizers import SGD, Adam, AdamW, Lamb
from distrib.nn.schedules import CosineDecay

rng = np.random.default_rng(5)
X, Y = rng.normal(size=(37, 6)), rng.integers(0, 3, 37)


def made(optimizer, seed=4):
    layers = [distrib.layers.Dense(5, "tanh", input_shape=(6,)), distrib.layers.Dense(3, "softmax")]
    model = distrib.Sequential(layers, dtype="float64", seed=seed)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def averaged(frequency=None, seen=None, optimizer=Adam, epochs=2):
    def body(strategy):
        model = made(
            optimizer(0.05, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=frequency),
        )
        note = distrib.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen is not None and seen.append(model.get_weights())
        )
        model.fit(X, Y, batch_size=10, epochs=epochs, verbose=0, callbacks=[note])
        return model.get_weights()

    return body


def test_the_average_of_all_updates_takes_the_place_of_the_values():
    seen = []
    weights = in_one_process(averaged(seen=seen))
    assert len(seen) == 8
    expected = seen[0]
    for values in seen[1:]:
        expected = [0.8 * a + (1 - 0.8) * v for a, v in zip(expected, values, strict=True)]
    assert difference(weights, expected) <= 1e-14
    assert difference(weights, seen[-1]) > 1e-3


def test_the_values_are_overwritten_every_so_often():
    seen = []
    in_one_process(averaged(3, seen))
    others = []
    in_one_process(averaged(None, others))
    assert difference(seen[1], others[1]) == 0
    assert difference(seen[2], others[2]) > 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_replicas", [2, 3])
@pytest.mark.parametrize("body", [averaged(), averaged(3), averaged(optimizer=Lamb)])
def test_replicas_average_what_one_process_averages(body, num_replicas, kind):
    weights = in_one_process(body)
    for others in on_replicas(num_replicas, body, kind=kind):
        assert difference(others, weights) <= 1e-12


def test_parameter_servers_refuse_averages():
    with pytest.raises(ConfigError, match="use_ema is not for ParameterServerStrategy"):
        on_workers(1, averaged())


def test_a_training_with_averages_goes_on(tmp_path):
    def first(strategy):
        model = made(Adam(0.05, use_ema=True, ema_momentum=0.8))
        backup = distrib.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
        model.fit(X, Y, batch_size=10, epochs=1, verbose=0, callbacks=[backup])

    def second(strategy):
        model = made(Adam(0.05, use_ema=True, ema_momentum=0.8))
        backup = distrib.callbacks.BackupAndRestore(tmp_path / "backup")
        model.fit(X, Y, batch_size=10, epochs=2, verbose=0, callbacks=[backup])
        return model.get_weights()

    on_replicas(3, first)
    for others in on_replicas(2, second):
        assert difference(others, in_one_process(averaged())) <= 1e-12


def decayed(exclude):
    def body(strategy):
        optimizer = SGD(0.1, weight_decay=0.5)
        model = made(optimizer)
        model.build()
        exclude(optimizer, model)
        # One step without a gradient: only the decay is left.
        zeros = np.zeros(len(X))
        before = model.get_weights()
        model.set_weights([value + 1 for value in before])
        model.fit(X, Y, sample_weight=zeros, batch_size=37, verbose=0)
        return [after / (value + 1) for after, value in zip(model.get_weights(), before, strict=True)]

    return body


@pytest.mark.parametrize(
    "run",
    [
        lambda body: in_one_process(body),
        lambda body: on_replicas(3, body)[0],
        lambda body: on_workers(2, body, num_ps=1)[0],
        lambda body: on_workers(2, body, num_ps=3)[0],
    ],
    ids=["alone", "replicas", "ps", "three ps"],
)
def test_weight_decay_leaves_variables_out(run):
    by_name = run(decayed(lambda optimizer, model: optimizer.exclude_from_weight_decay(var_names=["bias"])))
    kernels = [model_part for model_part in by_name if model_part.ndim == 2]
    biases = [model_part for model_part in by_name if model_part.ndim == 1]
    np.testing.assert_allclose(np.concatenate([each.ravel() for each in kernels]), 0.95)
    np.testing.assert_allclose(np.concatenate(biases), 1)

    def second_kernel(optimizer, model):
        optimizer.exclude_from_weight_decay(var_list=[model.layers[1].kernel])

    first, first_bias, second, second_bias = run(decayed(second_kernel))
    np.testing.assert_allclose([first.min(), first.max(), first_bias.max(), second_bias.max()], 0.95)
    np.testing.assert_allclose(second, 1)


def test_exclusions_come_before_training():
    optimizer = AdamW()
    made(optimizer).train_on_batch(X, Y)
    with pytest.raises(ConfigError, match="before training"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])


def test_an_optimizer_does_not_train_two_models_in_turns():
    """Each model would have the moments of the other."""
    optimizer = Adam()
    first, second = made(optimizer), made(optimizer, seed=5)
    first.train_on_batch(X, Y)
    second.train_on_batch(X, Y)
    with pytest.raises(ConfigError, match="an optimizer of its own"):
        first.train_on_batch(X, Y)


def test_one_model_after_the_other_begins_with_new_moments():
    def trained(optimizers):
        for number, optimizer in enumerate(optimizers):
            model = made(optimizer, seed=number)
            model.fit(X, Y, batch_size=10, verbose=0)
        return model.get_weights()

    shared = SGD(0.1, momentum=0.9)
    assert difference(trained([shared, shared]), trained([SGD(0.1, momentum=0.9) for _ in range(2)])) == 0


def test_more_variables_need_another_optimizer():
    optimizer = Adam()
    model = made(optimizer)
    model.layers[0].trainable = False
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.train_on_batch(X, Y)
    model.layers[0].trainable = True
    model.compile(optimizer, "sparse_categorical_crossentropy")
    with pytest.raises(ConfigError, match="with a new one"):
        model.train_on_batch(X, Y)
    model.compile(Adam(), "sparse_categorical_crossentropy")
    model.train_on_batch(X, Y)


def test_numbers_are_read_and_assigned_as_variables_are():
    optimizer = Adam(0.5)
    model = made(optimizer)
    assert optimizer.learning_rate.numpy() == np.float32(0.5)
    assert isinstance(optimizer.learning_rate.numpy(), np.float32)
    optimizer.learning_rate.assign(0.25)
    assert optimizer.learning_rate == 0.25
    keras.backend.set_value(optimizer.learning_rate, 0.125)
    assert keras.backend.get_value(optimizer.learning_rate) == 0.125
    model.fit(X, Y, batch_size=10, verbose=0)
    assert optimizer.iterations.numpy() == 4
    optimizer.iterations.assign(7)
    assert optimizer.iterations == 7
    assert json.loads(json.dumps(optimizer.learning_rate)) == 0.125
    scheduled = Adam(CosineDecay(0.1, 10))
    assert scheduled.learning_rate.numpy() == np.float32(0.1)
    with pytest.raises(ConfigError, match="follows CosineDecay"):
        scheduled.learning_rate.assign(0.2)


def test_former_names_of_arguments_are_answered():
    with pytest.raises(ConfigError, match=r"no argument lr\. .* Did you mean learning_rate\?"):
        SGD(lr=0.1)
    with pytest.raises(ConfigError, match=r"learning_rate=schedules.InverseTimeDecay"):
        SGD(0.1, decay=1e-6)
    with pytest.raises(AttributeError, match="Did you mean learning_rate"):
        _ = SGD(0.1).lr


@pytest.mark.parametrize("options", [{"ema_momentum": 1.5}, {"ema_overwrite_frequency": 0}])
def test_bad_averages_are_refused(options):
    with pytest.raises(ConfigError, match="ema_momentum in"):
        SGD(use_ema=True, **options)
