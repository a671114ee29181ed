"""Models without a seed of their own: all different, all repeatable, and the same on any number of replicas."""

import numpy as np
import pytest
from helpers.places import PLACES, everywhere
from helpers.replicas import difference, in_one_process

import distrib
from distrib import layers

rng = np.random.default_rng(2)
X, Y = rng.normal(size=(30, 4)), rng.integers(0, 3, 30)


def make_model(**kwargs):
    model = distrib.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(5, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ],
        dtype="float64",
        **kwargs,
    )
    model.compile(distrib.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model


def fit(model):
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    return model.get_weights()


def equal(a, b):
    return all(map(np.array_equal, a, b))


def ensemble(strategy=None):
    return [fit(make_model()) for _ in range(3)]


def test_the_members_of_an_ensemble_differ():
    begun = [make_model().get_weights() for _ in range(4)]
    assert not any(np.array_equal(a[0], b[0]) for a in begun for b in begun if a is not b)


def test_their_masks_and_orders_differ():
    begun = make_model(seed=5).get_weights()
    trained = []
    for _ in range(2):
        model = make_model()
        model.set_weights(begun)
        trained.append(fit(model))
    assert not equal(*trained)


@pytest.mark.parametrize("place", PLACES)
def test_an_ensemble_is_that_of_one_process(place):
    expected = in_one_process(ensemble)
    for members in everywhere(place, ensemble):
        for member, of_one in zip(members, expected, strict=True):
            assert difference(member, of_one) <= 1e-12


@pytest.mark.parametrize("place", [each for each in PLACES if not each.endswith("1")])
def test_a_model_of_one_rank_alone_changes_nothing(place):
    def body(strategy):
        first = make_model()
        if strategy.replica_id == 1:
            make_model().predict(X, verbose=0)
            make_model().predict(X, verbose=0)
        second = make_model()
        return [fit(second), fit(first)]

    expected = in_one_process(body)
    for found in everywhere(place, body):
        for weights, of_one in zip(found, expected, strict=True):
            assert difference(weights, of_one) <= 1e-12


@pytest.mark.parametrize("place", ["mirrored-3", "central-2"])
def test_the_seed_of_rank_0_counts(place):
    def body(strategy):
        distrib.set_random_seed(strategy.replica_id + 7)
        return fit(make_model())

    expected = in_one_process(body)
    for weights in everywhere(place, body):
        assert difference(weights, expected) <= 1e-12


def test_set_random_seed_makes_runs_repeat():
    runs = []
    for seed in (3, 3, 4):
        distrib.set_random_seed(seed)
        runs.append(ensemble())
    assert all(equal(a, b) for a, b in zip(runs[0], runs[1], strict=True))
    assert not any(equal(a, b) for a, b in zip(runs[0], runs[2], strict=True))


def test_a_seed_of_ones_own_is_the_seed():
    assert equal(fit(make_model(seed=9)), fit(make_model(seed=9)))
    assert make_model(seed=9).seed == 9


def test_a_model_that_goes_on_draws_what_it_would_have_drawn(tmp_path):
    distrib.set_random_seed(1)
    make_model()
    model = make_model()
    fit(model)
    model.save(tmp_path / "saved")
    again = distrib.load_model(tmp_path / "saved")
    assert equal(fit(model), fit(again))


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None, True])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(distrib.ConfigError, match=r"set_random_seed expects an integer >= 0"):
        distrib.set_random_seed(seed)
