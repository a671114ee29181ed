"""Aggregation: makes an update of a push, now or when its round is complete, or drops it."""

from __future__ import annotations

from dataclasses import dataclass

from distrib.base.arrays import Array
from distrib.nn.batch_sums import BatchSums, combined
from distrib.ps.policy.admission.membership import Membership
from distrib.ps.policy.admission.push_counts import Outcome, PushCounts
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.identity import PushId
from distrib.ps.policy.order.command_log import Apply, Discard, Entry
from distrib.ps.policy.order.phases import Phase


@dataclass
class Pushed:
    """A gradient that is kept until its round is complete."""

    sums: Array
    skip: bool
    staleness: int


class Aggregation:
    """Turns the pushes of one job into updates.

    Args:
        rules: how gradients become updates.
        members: takes what became of every worker's pushes.
        log: takes the decisions.

    Attributes:
        version: updates so far of the training that goes on.
        training: its number; -1 before there is one.
        versions: updates of the others, by their numbers.
        learning_rate: the chief's.
        counts: of all workers.
    """

    def __init__(self, rules: Rules, members: Membership, log: list[Entry]) -> None:
        self._members, self._log = members, log
        self._staleness, self._is_sync = rules.staleness, rules.is_sync
        self._rate_factor, self._num_workers = rules.learning_rate_factor, rules.num_workers
        self.version = 0
        self.training = -1
        self.versions: dict[int, int] = {}
        self.learning_rate = 0.0
        self.counts = PushCounts()
        self._pushed: dict[PushId, Pushed] = {}

    def train(self, training: int, iterations: int) -> None:
        """Go on with a training, or begin it after so many updates."""
        self.versions[self.training] = self.version
        self.training = training
        self.version = self.versions.get(training, iterations)

    def keeps(self, push: PushId) -> bool:
        """Whether a push waits for its round."""
        return push in self._pushed

    def decide(
        self, phase: Phase, push: PushId, lease: int, version: int, sums: Array, skip: bool
    ) -> dict[PushId, Outcome]:
        """Take a push.

        Args:
            phase: where it was computed.
            push: which it is.
            lease: number of its lease.
            version: of the values it was computed from.
            sums: `(num_sums,)`, as in `BatchSums`.
            skip: whether its update is to be left out.

        Returns:
            What became of it, and of those that waited for it; without it while its round is not complete.
        """
        admission, trains = phase.admission, phase.trains
        staleness = max(0, self.version - version) if trains else 0
        if trains:
            for counts in self._counts(push):
                counts.pushed += 1
        factor = self._staleness.factor(staleness) if staleness and not self._is_sync else 1.0
        if version > self.version:
            factor, why = None, "computed from values that are lost"
        else:
            why = "too stale" if factor is None else "the epoch is over"
        if admission is None or phase.is_over or factor is None:
            if admission is not None:
                admission.return_lease(push.worker, lease)
            return {push: self._drop(phase, push, staleness, why)}
        self._pushed[push] = Pushed(sums, skip, staleness)
        decision = admission.push(push.worker, lease, push)
        if decision.drop:
            return {each: self._drop(phase, each, staleness, decision.why) for each in decision.drop}
        if not decision.apply:
            return {}
        outcomes = self._apply(phase, decision.apply, factor)
        phase.is_over = admission.ledger.is_done
        return outcomes

    def _apply(self, phase: Phase, pushes: list[PushId], factor: float) -> dict[PushId, Outcome]:
        """Make these pushes one update."""
        parts = {push: self._pushed.pop(push) for push in pushes}
        if any(part.skip for part in parts.values()):
            # The examples are done: they would be no better again.
            why = "NaN or Inf in a gradient of this update"
            return {push: self._drop(phase, push, part.staleness, why) for push, part in parts.items()}
        sums, count = combined([part.sums for part in parts.values()])
        phase.totals += sums
        if phase.trains:
            self.version += 1
            rate = self.learning_rate * factor * self._rate_factor
            # A loop of one's own divides by the batch of all workers; where some are left out, the others count more.
            scale = self._num_workers / count if phase.is_loop and self._is_sync else 1.0 / count
            self._log.append(Apply(tuple(pushes), scale, rate, self.version))
            for push, part in parts.items():
                examples = int(BatchSums(0, part.sums).count)
                for counts in self._counts(push):
                    counts.add_applied(part.staleness, factor, examples)
            for worker in {push.worker for push in pushes}:
                self._members[worker].counts.updates += 1
            self.counts.updates += 1
        became = "applied" if factor == 1.0 else "scaled"
        return {push: Outcome(became, part.staleness, factor) for push, part in parts.items()}

    def end(self, phase: Phase) -> dict[PushId, Outcome]:
        """A loop is over: what waits for its round is dropped."""
        why = "the loop ended before its round was complete"
        return {
            push: self._drop(phase, push, each.staleness, why) for push, each in list(self._pushed.items())
        }

    def _drop(self, phase: Phase, push: PushId, staleness: int, why: str) -> Outcome:
        self._pushed.pop(push, None)
        self._log.append(Discard(push))
        if phase.trains:
            for counts in self._counts(push):
                counts.dropped += 1
        return Outcome("dropped", staleness, 0.0, why)

    def _counts(self, push: PushId) -> tuple[PushCounts, PushCounts]:
        return self._members[push.worker].counts, self.counts
