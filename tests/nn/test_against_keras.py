"""distrib computes what Keras computes; the reference is recorded by scripts/record_keras_reference.py."""

import json
from pathlib import Path

import numpy as np
import pytest

from distrib import activations, losses, metrics, optimizers

REFERENCE = json.loads((Path(__file__).parent / "keras_reference.json").read_text())
ACTIVATIONS = {
    "linear": activations.Linear,
    "relu": activations.Relu,
    "leaky_relu": activations.LeakyRelu,
    "elu": activations.Elu,
    "gelu": activations.Gelu,
    "tanh": activations.Tanh,
    "sigmoid": activations.Sigmoid,
    "softmax": activations.Softmax,
}
close = {"rtol": 1e-9, "atol": 1e-11}
# what Keras on torch gives for losses is rounded to float32, also when float64 is asked for
close_to_float32 = {"rtol": 2e-6, "atol": 1e-8}


def cases(kind):
    return [
        pytest.param(case, id=f"{case['name']}-{index}-{'-'.join(case['arguments'])}".rstrip("-"))
        for index, case in enumerate(REFERENCE[kind])
    ]


def test_reference_covers_every_class():
    assert {case["name"] for case in REFERENCE["activations"]} == set(ACTIVATIONS)
    for kind, module in (("losses", losses), ("optimizers", optimizers), ("metrics", metrics)):
        assert all(hasattr(module, case["name"]) for case in REFERENCE[kind])
    ours = {cls.__name__ for cls in losses.registry.REGISTRY.classes.values()}
    focal = {name for name in ours if "Focal" in name}  # in test_metrics.py
    assert {case["name"] for case in REFERENCE["losses"]} == ours - focal


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("case", cases("activations"))
def test_activation(case, in_place):
    activation = ACTIVATIONS[case["name"]](**case["arguments"])
    x, d_y = np.array(case["x"]), np.array(case["d_y"])
    y = x if in_place and not activation.needs_input else np.empty_like(x)
    activation.forward(x, y)
    np.testing.assert_allclose(y, case["y"], **close)
    activation.backward(d_y, x, y)
    np.testing.assert_allclose(d_y, case["d_x"], **close)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", cases("losses"))
def test_loss(case, weighted):
    loss = getattr(losses, case["name"])(**case["arguments"])
    y_true, y_pred = np.array(case["y_true"]), np.array(case["y_pred"])
    weight = np.array(case["weight"]) if weighted else None
    prefix = "weighted_" if weighted else ""
    np.testing.assert_allclose(loss(y_true, y_pred, weight), case[prefix + "value"], **close_to_float32)
    targets = loss.prepare(y_true, y_pred.shape[1:], y_pred.dtype)
    loss.forward(targets, y_pred)
    gradient = loss.backward(targets, y_pred) / len(y_pred)
    if weight is not None:
        gradient *= weight.reshape(-1, *[1] * (y_pred.ndim - 1))
    np.testing.assert_allclose(gradient, case[prefix + "gradient"], **close_to_float32)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", cases("metrics"))
def test_metric(case, weighted):
    metric = getattr(metrics, case["name"])(**case["arguments"])
    weight = np.array(case["weight"]) if weighted else None
    y_true, y_pred = np.array(case["y_true"]), np.array(case["y_pred"])
    for part in (slice(0, 1), slice(1, 4), slice(4, 6)):
        metric.update_state(y_true[part], y_pred[part], None if weight is None else weight[part])
    assert metric.result() == pytest.approx(case["weighted_result" if weighted else "result"], abs=1e-6)
    metric.reset_state()
    assert metric.result() == 0.0


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("case", cases("optimizers"))
def test_optimizer(case, scale):
    optimizer = getattr(optimizers, case["name"])(**case["arguments"])
    values = np.array(case["start"])
    optimizer.build(values.size, values.dtype)
    for grads, expected in zip(case["grads"], case["values"], strict=True):
        optimizer.apply_range(values, np.array(grads) / scale, scale)
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-7)
    assert optimizer.iterations == len(case["grads"])
