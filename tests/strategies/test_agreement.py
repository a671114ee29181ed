"""What replicas must agree on before they train, and what is worth a word only."""

import numpy as np
import pytest
from helpers.replicas import on_replicas

import distrib
from distrib.base.logs import LOGGER
from distrib.ps.policy.order.phases import Phase


@pytest.fixture
def told(monkeypatch):
    """What is logged."""
    lines = []
    monkeypatch.setattr(LOGGER, "warning", lambda words, *values: lines.append(words % values))
    return lines


def description(numpy, version="0.1.0"):
    return {"model": "m", "versions": {"distrib": version, "numpy": numpy}}


def test_d6_another_numpy_is_told_and_not_refused(told):
    on_replicas(2, lambda strategy: strategy.agree(description(f"2.{strategy.replica_id}")))
    assert told == ["The replicas have different versions of NumPy: rank 0: 2.0, rank 1: 2.1."]


def test_d6_another_distrib_is_refused(told):
    with pytest.raises(distrib.ProtocolError, match=r"versions.distrib: rank 0: '0', rank 1: '1'"):
        on_replicas(2, lambda strategy: strategy.agree(description("2.0", str(strategy.replica_id))))
    assert not told


def test_d6_so_it_is_around_parameter_servers(told):
    stage = Phase(description("2.0"), np.zeros(1))
    assert stage.refusal(1, description("2.0")) == ""
    assert told == []
    assert stage.refusal(1, description("2.1")) == ""
    assert told == ["worker 1 has NumPy 2.1, and the chief 2.0."]
    assert "versions.distrib" in stage.refusal(1, description("2.0", "0.2.0"))
