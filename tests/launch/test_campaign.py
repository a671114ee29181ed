"""A small sample of `scripts/campaign.py roles`: each kind of victim once."""

import pytest
from campaigns.roles import end_well, kill_one

pytestmark = pytest.mark.timeout(90)


def test_nothing_is_left_of_a_run_that_ends_well(tmp_path):
    assert end_well(tmp_path / "run", "ps-async") < 5


@pytest.mark.parametrize(
    ("strategy", "victim"),
    [("ps-async", "chief 0"), ("ps-sync", "ps 1"), ("mirrored", "worker 0"), ("ps-sync", "evaluator 0")],
)
def test_a_role_is_killed_at_a_random_moment(tmp_path, strategy, victim):
    code, alive = kill_one(tmp_path / "run", strategy, victim, seed=7)
    assert alive, "the kill came too late"
    assert code == (0 if victim == "evaluator 0" else 75)
