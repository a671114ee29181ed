"""What a reply says of a push, over real servers, and that the values agree: C15, at the limits of each policy."""

import numpy as np
import pytest
from helpers.ps_calls import RATE, SIZE, Calls, until

import distrib
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.policy.admission.rules import Rules

A, S, D = pb.APPLIED, pb.SCALED, pb.DROPPED


@pytest.mark.parametrize("num_ps", [1, 2])
@pytest.mark.parametrize(
    ("policy", "decisions", "factors"),
    [
        (None, [A, A, A], [1, 1, 1]),
        (distrib.DropStale(0), [A, D, D], [1, 0, 0]),
        (distrib.DropStale(1), [A, A, D], [1, 1, 0]),
        (distrib.DropStale(2), [A, A, A], [1, 1, 1]),
        (distrib.ScaleStale("inverse"), [A, S, S], [1, 1 / 2, 1 / 3]),
        (distrib.ScaleStale("zhang"), [A, A, S], [1, 1, 1 / 2]),
    ],
    ids=["none", "drop > 0", "drop > 1", "drop > 2", "inverse", "zhang"],
)
def test_c15_every_reply_says_what_became_of_the_push(num_ps, policy, decisions, factors):
    """Three workers compute from the first values, and push one after the other: 0, 1 and 2 updates too late."""
    with Calls("async", num_ps, num_workers=3) as job:
        if policy is not None:
            job.rules = Rules("async", 3, staleness=policy)
        clients = [job.client(worker) for worker in range(3)]
        for client in clients:
            job.register(client)
        begun = [job.begin(client) for client in clients]
        assert [answer.version for answer in begun] == [0, 0, 0]
        version, moved = 0, 0.0
        for client, answer, decision, factor in zip(clients, begun, decisions, factors, strict=True):
            staleness = version
            version, moved = version + (decision != D), moved - RATE * factor
            fresh = np.empty(SIZE, np.float32)
            reply = client.push(job.message(answer, 1), job.gradient(answer), fresh)
            assert (reply.decision, reply.staleness, reply.version) == (decision, staleness, version)
            assert reply.factor == factor
            assert reply.why == ("too stale" if decision == D else "")
            # Fresh values came with it, also where it was dropped; and they are those of this version.
            until(lambda: all(shard.version == version for shard in job.shards), f"version {version}")  # noqa: B023
            assert fresh.tobytes() == job.values().tobytes()
            np.testing.assert_allclose(fresh, moved, rtol=1e-5)
        counts = job.sequencer.counts.as_json()
        expected = {
            "applied": 3 - decisions.count(D),
            "dropped": decisions.count(D),
            "scaled": decisions.count(S),
        }
        assert {name: counts[name] for name in expected} == expected
        assert counts["staleness_histogram"] == {str(age): 1 for age in range(version)}
        dropped = [
            (answer.begin, answer.end) for answer, each in zip(begun, decisions, strict=True) if each == D
        ]
        undone = [tuple(span.range) for span in job.sequencer.phases.all[1].admission.undone()]
        assert all(any(a <= begin and end <= b for a, b in undone) for begin, end in dropped), (
            "they are free again"
        )
