"""A worker whose ps cannot be found says which and why, again and again while it waits."""

import time

import numpy as np
import pytest

import distrib
from distrib.base.logs import LOGGER
from distrib.ps.client import client


@pytest.fixture
def told(monkeypatch):
    """What is logged."""
    lines = []
    monkeypatch.setattr(LOGGER, "warning", lambda words, *values: lines.append(words % values))
    return lines


def test_c27_a_name_that_nobody_knows(monkeypatch, told):
    assert client.TELL_EVERY_S == 5.0
    monkeypatch.setattr(client, "TELL_EVERY_S", 0.5)
    asked = client.Client(["nobody.invalid:2222"], 1, connect_timeout_s=1.5)
    begin = time.monotonic()
    try:
        with pytest.raises(distrib.PeerLostError) as caught:
            asked.register(0, {}, np.zeros(0))
    finally:
        asked.close()
    assert 1.5 < time.monotonic() - begin < 4
    for words in (str(caught.value), *told):
        assert "nobody.invalid" in words
        assert "address lookup failed" in words or "DNS" in words, "why"
    assert 2 <= len(told) <= 4
    assert "waited 1.5 s for the ps at nobody.invalid:2222" in str(caught.value)
