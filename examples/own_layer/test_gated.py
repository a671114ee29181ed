"""Tests of the layer: `pytest examples/own_layer`."""

import numpy as np
import pytest
from distrib.testing import check_model, easy_classification
from gated import GatedDense, make_model


def test_it_can_be_trained_on_any_number_of_replicas():
    x, y = easy_classification(num_features=6)
    check_model(lambda: make_model(inputs=6, classes=3), x, y)


def test_an_open_gate_is_a_dense_layer():
    layer = GatedDense(2)
    layer.build((None, 3))
    layer.gate.assign(np.zeros((3, 2)))
    x = np.ones((1, 3), np.float32)
    np.testing.assert_allclose(layer(x), x @ layer.kernel.numpy() / 2, rtol=1e-6)


@pytest.mark.distrib(ranks=3)
def test_replicas_begin_alike(strategy):
    model = make_model(inputs=6, classes=3)
    kernel = model.get_weights()[0]
    np.testing.assert_array_equal(strategy.reduce("MAX", kernel), kernel)
