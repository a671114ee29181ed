"""The sequencer's state as JSON values, and a sequencer from it: what a checkpoint holds beside the vectors."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np

from distrib.base.ranges import Range
from distrib.data.schedule import Positions
from distrib.nn.optimizers.registry import completed
from distrib.ps.policy.admission.membership import Member
from distrib.ps.policy.admission.push_counts import CAUSES, NO_PUSH, Outcome, PushCounts, counts_from_json
from distrib.ps.policy.admission.rules import rules_from_config
from distrib.ps.policy.order.phases import Phase, admission_of
from distrib.ps.policy.order.sequencer import Sequencer

_LEASE_BITS = 62


def state_of(sequencer: Sequencer) -> dict[str, Any]:
    """All that it takes to go on from here. Gradients that wait for their round are not in it."""
    phases = [
        {
            "description": phase.description,
            "totals": phase.totals.tolist(),
            "is_over": phase.is_over,
            "undone": None
            if phase.admission is None or phase.is_over
            else [[pass_index, *part] for pass_index, part in phase.admission.undone()],
        }
        for phase in sequencer.phases.all
    ]
    members = {
        str(worker): {
            "incarnation": member.incarnation,
            "former": list(member.former),
            # A push that waits for its round is lost, and not counted.
            "sequence": member.sequence - (member.outcome is None),
            "outcome": list(member.outcome or NO_PUSH),
            **member.counts.as_json(),
        }
        for worker, member in sequencer.members.items()
    }
    return {
        "rules": sequencer.rules.get_config(),
        "version": sequencer.version,
        "training": sequencer.updates.training,
        "versions": sorted(sequencer.updates.versions.items()),
        "learning_rate": sequencer.updates.learning_rate,
        "counts": sequencer.counts.as_json(),
        "stages": phases,
        "members": members,
    }


def summary_of(sequencer: Sequencer) -> dict[str, Any]:
    """The chief's rate, and for the job and every worker counters and time spent up to the last push."""
    workers = {
        str(worker): {
            **member.counts.as_json(),
            "seconds": dict(zip(CAUSES, member.seconds or [0.0] * len(CAUSES), strict=True)),
        }
        for worker, member in sorted(sequencer.members.items())
    }
    nothing = {**PushCounts().as_json(), "seconds": dict.fromkeys(CAUSES, 0.0)}
    for worker in range(sequencer.rules.num_workers):
        workers.setdefault(str(worker), nothing)  # one that never came
    rate = sequencer.updates.learning_rate
    return {
        "version": sequencer.version,
        "learning_rate": rate,
        **sequencer.counts.as_json(),
        "workers": dict(sorted(workers.items(), key=lambda item: int(item[0]))),
    }


def sequencer_from_state(state: dict[str, Any]) -> Sequencer:
    """The sequencer that `state_of` described, with no worker connected and nothing leased.

    Its leases have numbers of their own. So what was leased before, and computed from values that may be lost, is
    known when it is handed in, also when the version has the same number again.
    """
    sequencer = Sequencer(rules_from_config(state["rules"]))
    sequencer.is_restored = sequencer.members.are_restored = True
    sequencer.updates.version = int(state["version"])
    sequencer.updates.training = int(state.get("training", 0))
    sequencer.updates.versions = {int(number): int(version) for number, version in state.get("versions", [])}
    sequencer.updates.learning_rate = float(state["learning_rate"])
    sequencer.updates.counts = counts_from_json(state["counts"])
    for each in state["stages"]:
        description = each["description"]
        if "optimizer" in description:
            description["optimizer"] = completed(description["optimizer"])
        phase = sequencer.phases.append(Phase(each["description"], np.array(each["totals"]), each["is_over"]))
        if each["undone"] is not None:
            spans = [Positions(pass_index, Range(begin, end)) for pass_index, begin, end in each["undone"]]
            first = secrets.randbits(_LEASE_BITS)
            phase.admission = admission_of(sequencer.rules, phase.description, spans, first)
    last = sequencer.phases.last
    if last is not None and last.is_vote:  # a chief that was preempted goes on now
        last.is_over = False
    for worker, each in state["members"].items():
        sequencer.members[int(worker)] = Member(
            each["incarnation"],
            former=tuple(each["former"]),
            is_alive=False,
            sequence=each["sequence"],
            is_restored=True,
            outcome=Outcome(*each["outcome"]),
            counts=counts_from_json(each),
        )
    return sequencer
