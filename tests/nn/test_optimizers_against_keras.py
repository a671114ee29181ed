"""Optimizers of whole tensors, clipping by variable, and constraints, against what Keras computes.

The numbers are recorded by scripts/record_keras_optimizers.py.
"""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from distrib.base.errors import ConfigError
from distrib.base.ranges import Range
from distrib.nn import constraints, optimizers
from distrib.nn.optimizers.tensor_part import TensorPart

RECORDED = json.loads(Path(__file__).with_name("keras_optimizers.json").read_text())


def flat(arrays):
    return np.concatenate([np.asarray(each, np.float64).reshape(-1) for each in arrays])


def tensors(values, constraint=None):
    begin, parts = 0, []
    for index, value in enumerate(map(np.asarray, values)):
        parts.append(TensorPart(str(index), value.shape, Range(begin, begin + value.size), constraint))
        begin += value.size
    return parts


@pytest.mark.parametrize(
    "case", RECORDED["optimizers"], ids=lambda case: f"{case['name']} {case['arguments']}"
)
def test_optimizers(case):
    values = flat(case["values"])
    optimizer = getattr(optimizers, case["name"])(**case["arguments"])
    optimizer.build(values.size, values.dtype, tensors=tensors(case["values"]))
    for grads in case["grads"]:
        optimizer.apply_range(values, flat(grads) * 50, scale=1 / 50)
    np.testing.assert_allclose(values, flat(case["after"]), rtol=1e-10, atol=1e-10)
    assert not np.allclose(values, flat(case["values"]))


@pytest.mark.parametrize(("name", "arguments", "expected"), RECORDED["constraints"])
def test_constraints(name, arguments, expected):
    w = np.array(RECORDED["w"])
    before = w.copy()
    constraint = getattr(constraints, name)(**arguments)
    np.testing.assert_allclose(constraint(w), expected, rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(w, before)
    again = constraints.from_config({"class": name, **json.loads(json.dumps(constraint.get_config()))})
    np.testing.assert_array_equal(again(w), constraint(w))


@pytest.mark.parametrize("name", RECORDED["defaults"])
def test_names_order_and_defaults_of_arguments(name):
    cls = getattr(optimizers, name, None) or getattr(constraints, name)
    ours = [[each.name, each.default] for each in inspect.signature(cls).parameters.values()]
    own = [each for each in ours if each[0] not in ("args", "kwargs", "name")]
    theirs = [each for each in RECORDED["defaults"][name] if each[0] not in ("name", "args")]
    assert theirs[: len(own)] == own


def test_a_constraint_is_applied_after_each_update():
    values = np.array([[1.0, -2.0], [3.0, 4.0]])
    sgd = optimizers.SGD(1.0)
    sgd.build(4, values.dtype, tensors=tensors([values], constraints.UnitNorm()))
    vector = values.reshape(-1)
    sgd.apply_range(vector, np.zeros(4))
    np.testing.assert_allclose(vector.reshape(2, 2), constraints.UnitNorm()(np.array([[1, -2], [3, 4.0]])))


def test_constraints_have_keras_names():
    assert isinstance(constraints.get("max_norm"), constraints.MaxNorm)
    assert constraints.get("NonNeg") is not None
    assert constraints.get(None) is None
    assert constraints.min_max_norm is constraints.MinMaxNorm
    with pytest.raises(ConfigError, match="Did you mean 'unit_norm'"):
        constraints.get("unit_norms")


def test_optimizers_are_described_and_made_again():
    lamb = optimizers.Lamb(0.1, clipnorm=2.0)
    config = optimizers.serialize(lamb)
    assert config["class_name"] == "Lamb"
    for made in (optimizers.deserialize(config), optimizers.get(config), optimizers.get("lamb")):
        assert isinstance(made, optimizers.Lamb)
    assert optimizers.get(config).get_config() == lamb.get_config()
    with pytest.raises(ConfigError, match="built-in optimizer"):
        optimizers.deserialize({"class_name": "Other", "config": {}})


def test_one_way_to_clip():
    with pytest.raises(ConfigError, match="one of clipnorm"):
        optimizers.Adam(clipnorm=1.0, clipvalue=1.0)
