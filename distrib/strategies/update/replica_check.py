"""Checks that all replicas hold the same values, as far as that can be found out.

More than half of the replicas cannot have drifted to the same values by themselves: what they hold is right, and the
others are named. Where no values are held by more than half, as with two replicas, nobody can say who is right.
"""

from __future__ import annotations

from collections.abc import Sequence

_HOW = (
    "Something changed them on some replicas only: an assignment that not every replica made, or a fault of "
    "the memory. "
)


def drift(digests: Sequence[float], step: int) -> str:
    """What to say about replicas whose values differ; empty if they do not.

    Args:
        digests: a hash of the values of each replica, in rank order.
        step: the training step they are at.
    """
    versions = [_ranks(digests, digest) for digest in dict.fromkeys(digests)]
    if len(versions) == 1:
        return ""
    usual = max(versions, key=len)
    if 2 * len(usual) > len(digests):
        drifted = sorted(rank for version in versions if version is not usual for rank in version)
        return (
            f"The values of {_named(drifted)} differ from those of the other {len(usual)} at step {step}. {_HOW}"
            "If no callback or line of the script did, take that replica's host out and test its memory; go on from "
            "the last checkpoint."
        )
    return (
        f"The values of {' and those of '.join(map(_named, versions))} differ at step {step}, and no majority tells "
        f"which of them are right. {_HOW}If no callback or line of the script did, test the memory of these hosts; "
        "go on from the last checkpoint before this. With three replicas or more the one that drifts is named."
    )


def _ranks(digests: Sequence[float], digest: float) -> list[int]:
    return [rank for rank, each in enumerate(digests) if each == digest]


def _named(ranks: Sequence[int]) -> str:
    return ", ".join(f"rank {rank}" for rank in ranks)
