"""Where replicas are, and whether there are cores for them."""

import logging

import pytest

import distrib
from distrib.strategies.placement import check_placement, placement, ranges_of

HOSTS = ["a", "a", "b"]


def test_each_replica_is_listed_with_its_cores_and_threads():
    lines = placement(HOSTS, [[0, 1, 2, 3], [0, 1, 2, 3], [5]], [2, 2, 1])
    assert lines == [
        "replica 0: host a, cores 0-3, 2 BLAS threads",
        "replica 1: host a, cores 0-3, 2 BLAS threads",
        "replica 2: host b, cores 5, 1 BLAS threads",
    ]


@pytest.mark.parametrize(
    ("cores", "words"), [([], ""), ([3], "3"), ([0, 1, 2, 7], "0-2,7"), ([2, 0, 4], "0,2,4")]
)
def test_ranges(cores, words):
    assert ranges_of(cores) == words


def test_more_replicas_than_cores_are_a_warning_or_an_error(caplog):
    with caplog.at_level(logging.WARNING, "distrib"):
        check_placement(HOSTS, [[0], [1], [0]], 0, allow_soft=False)
        assert not caplog.text
        check_placement(HOSTS, [[0], [0], [0]], 0, allow_soft=True)
    assert "2 replicas on host a share 1 cores (0)" in caplog.text
    with pytest.raises(distrib.ConfigError, match="allow_soft_placement=True"):
        check_placement(HOSTS, [[0], [0], [0]], 2, allow_soft=False)


def test_log_device_placement_of_one_process(capfd):
    distrib.MirroredStrategy(log_device_placement=True)
    distrib.CentralStorageStrategy(log_device_placement=True)
    assert capfd.readouterr().err.count("replica 0: host ") == 2
