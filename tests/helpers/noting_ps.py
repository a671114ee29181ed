"""`distrib ps`, which tells of every lease, and of every update that its values take, with the examples in it.

Lines of JSON, each with "now", the time: {"leased": [worker, pass, begin, end]}, {"pushed": worker}, and
{"version", "scale", "applied": [worker, pass, begin and end of every push]}.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from typing import Any

from distrib.cli import main as cli
from distrib.data.schedule import Positions
from distrib.ps.policy.admission.admission import Admission, AsyncAdmission, SyncRounds
from distrib.ps.policy.admission.ledger import Lease
from distrib.ps.policy.identity import PushId
from distrib.ps.policy.order.aggregation import Aggregation
from distrib.ps.policy.order.command_log import Apply
from distrib.ps.policy.order.phases import Phase
from distrib.ps.policy.order.shard import Shard

# Every lease that ever was, by its number and the identity of the admission that gave it.
leases: dict[tuple[int, int], Positions] = {}
spans: dict[PushId, Positions] = {}


def tell(**what: Any) -> None:
    print(json.dumps({**what, "now": time.monotonic()}), flush=True)


def telling_lease(lease: Callable[[Any, int, int], Lease | None]) -> Callable[[Any, int, int], Lease | None]:
    @functools.wraps(lease)
    def note(self: Admission[PushId], worker: int, num_alive: int) -> Lease | None:
        leased = lease(self, worker, num_alive)
        if leased is not None:
            leases[id(self), leased.number] = leased.span
            tell(leased=[worker, leased.span.pass_index, *leased.span.range])
        return leased

    return note


def telling_push(decide: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(decide)
    def note(self: Aggregation, phase: Phase, push: PushId, lease: int, *rest: Any) -> Any:
        spans[push] = leases[id(phase.admission), lease]
        tell(pushed=push.worker)
        return decide(self, phase, push, lease, *rest)

    return note


def telling_update(apply: Callable[[Shard, Apply], None]) -> Callable[[Shard, Apply], None]:
    @functools.wraps(apply)
    def note(self: Shard, entry: Apply) -> None:
        apply(self, entry)
        applied = [[push.worker, spans[push].pass_index, *spans[push].range] for push in entry.pushes]
        tell(version=entry.version, scale=entry.scale, applied=applied)

    return note


def main() -> int:
    """Be that ps; returns the exit code."""
    for admission in (SyncRounds, AsyncAdmission):
        admission.lease = telling_lease(admission.lease)
    Aggregation.decide = telling_push(Aggregation.decide)
    Shard.apply = telling_update(Shard.apply)
    return cli.main(["ps", "--no-shared-memory"])
