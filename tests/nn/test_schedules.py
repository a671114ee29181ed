"""Schedules beside Keras' (recorded), their arguments, and what an optimizer makes of them."""

import json
from pathlib import Path

import numpy as np
import pytest

import distrib
from distrib.nn import schedules
from distrib.nn.optimizers import SGD, from_config

REFERENCE = json.loads((Path(__file__).parent / "keras_reference.json").read_text())["schedules"]


@pytest.mark.parametrize("case", REFERENCE, ids=lambda case: case["name"])
def test_rates_are_those_of_keras(case):
    schedule = getattr(schedules, case["name"])(**case["arguments"])
    np.testing.assert_allclose([schedule(step) for step in range(40)], case["rates"], rtol=1e-5, atol=1e-9)
    again = schedules.deserialize(json.loads(json.dumps(schedules.serialize(schedule))))
    assert [again(step) for step in range(40)] == [schedule(step) for step in range(40)]


def test_every_schedule_has_a_reference():
    assert {case["name"] for case in REFERENCE} == set(schedules.registry.REGISTRY.classes)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.9), "decay_steps > 0"),
        (lambda: schedules.CosineDecayRestarts(0.1, 5, t_mul=0), "t_mul > 0"),
        (lambda: schedules.PiecewiseConstantDecay([1], [0.1]), "one value more than boundaries"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3]), "rising order"),
        (lambda: schedules.CosineDecay(0.1), "decay_steps"),
        (lambda: SGD({"class": "Unknown"}), "Expected a built-in schedule"),
    ],
)
def test_arguments(make, words):
    with pytest.raises(distrib.ConfigError, match=words):
        make()


def test_an_optimizer_follows_its_schedule_and_no_number_that_is_set():
    optimizer = SGD(schedules.PiecewiseConstantDecay([0, 1], [1.0, 0.5, 0.25]))
    values = np.zeros(1)
    optimizer.build(1, values.dtype)
    rates = []
    for _ in range(3):
        rates.append(optimizer.learning_rate)
        optimizer.apply_range(values, np.ones(1))
    assert rates == [1.0, 0.5, 0.25]
    assert values[0] == -1.75
    with pytest.raises(distrib.ConfigError, match="follows PiecewiseConstantDecay"):
        optimizer.learning_rate = 0.1
    optimizer.follow(0.1)
    assert optimizer.learning_rate == 0.25
    optimizer.learning_rate = schedules.InverseTimeDecay(3.0, 1, 1.0)
    assert optimizer.learning_rate == 0.75, "after three updates"
    again = from_config(json.loads(json.dumps(optimizer.get_config())))
    assert again.learning_rate == 3.0
    assert again.has_schedule


def test_a_schedule_of_ones_own():
    class Mine(schedules.LearningRateSchedule):
        def __init__(self, first):
            self.first = first

        def __call__(self, step):
            return self.first / (1 + step)

    optimizer = SGD(Mine(2.0))
    optimizer.iterations = 3
    assert optimizer.learning_rate == 0.5
    assert optimizer.get_config()["learning_rate"] == {"class": "Mine", "first": 2.0}
    optimizer.learning_rate = Mine(-1.0)
    with pytest.raises(distrib.ConfigError, match="learning_rate >= 0"):
        float(optimizer.learning_rate)
