"""Every way to train: strategies and numbers of replicas, to go through in a test that holds for all of them."""

import itertools

from helpers.ps import on_workers
from helpers.replicas import on_replicas

PLACES = [
    f"{strategy}-{count}" for strategy, count in itertools.product(("mirrored", "central", "ps"), (1, 2, 3))
]


def everywhere(place, body, **options):
    """The results of `body(strategy)` on all replicas of a place, such as `"mirrored-2"`, in their order."""
    strategy, count = place.split("-")
    if strategy == "ps":
        return on_workers(int(count), body, num_ps=2, **options)
    return on_replicas(int(count), body, kind="central" if strategy == "central" else "ring", **options)
