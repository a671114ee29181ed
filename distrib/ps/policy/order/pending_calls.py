"""PendingCalls: the calls of workers that wait for an answer: a lease, or the end of a phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from distrib.base.arrays import Array
from distrib.data.schedule import Positions
from distrib.ps.policy.admission.ledger import Lease
from distrib.ps.policy.admission.membership import Membership
from distrib.ps.policy.admission.push_counts import NO_PUSH, Outcome
from distrib.ps.policy.identity import PushId
from distrib.ps.policy.order.command_log import Entry, Keep, Pull
from distrib.ps.policy.order.pace import AdmissionPace
from distrib.ps.policy.order.phases import Phase, Phases


class CallAnswer(NamedTuple):
    """The answer to a worker's call.

    Attributes:
        worker: whose call.
        call: its number.
        outcome: of the push it brought.
        version: of the values that are pulled with it.
        lease: what to compute next; None if the phase is over, or if the worker holds another one.
        totals: the sums of the phase so far.
        refusal: why the worker may not go on; empty if it may.
        undone: the positions that no update has taken yet, where they were asked for.
        start: where the chief continues, as its script has described it, when a model was registered.
    """

    worker: int
    call: int
    outcome: Outcome
    version: int
    lease: Lease | None
    totals: Array
    refusal: str = ""
    undone: Sequence[Positions] = ()
    start: str = ""


@dataclass
class Waiting:
    """A call that is not answered yet."""

    call: int
    phase: int
    description: dict[str, Any] | None = None  # of the phase, as this worker has it, until it is compared
    outcome: Outcome | None = NO_PUSH  # None: its push waits for its round


class PendingCalls:
    """The unanswered calls of all workers, one for each.

    Args:
        phases: what they come to.
        members: who they are.
        pace: who may compute now.
        log: takes the values that go with the answers.

    Attributes:
        answers: those that are not sent yet; the caller takes them out.
    """

    def __init__(self, phases: Phases, members: Membership, pace: AdmissionPace, log: list[Entry]) -> None:
        self._phases, self._members, self._pace, self._log = phases, members, pace, log
        self._waiting: dict[int, Waiting] = {}
        self.answers: list[CallAnswer] = []

    def wait(self, worker: int, waiting: Waiting) -> None:
        """A worker has called; what it has asked before is not answered any more."""
        self._waiting.pop(worker, None)
        self._waiting[worker] = waiting

    def forget(self, worker: int) -> None:
        """A worker is gone."""
        self._waiting.pop(worker, None)

    def tell(self, worker: int, outcome: Outcome) -> None:
        """The round of a worker's last push is complete; it may still wait for that."""
        waiting = self._waiting.get(worker)
        if waiting is not None and waiting.outcome is None:
            waiting.outcome = outcome

    def settle(self, version: int) -> None:
        """Answer every call for which there is something to say, those that wait longest first.

        Args:
            version: of the values now.
        """
        for worker in list(self._waiting):
            waiting = self._waiting[worker]
            if waiting.phase < len(self._phases.all):
                self._settle(worker, waiting, self._phases.all[waiting.phase], version)

    def _settle(self, worker: int, waiting: Waiting, phase: Phase, version: int) -> None:
        refusal = "" if waiting.description is None else phase.refusal(worker, waiting.description)
        waiting.description = None
        if refusal:
            del self._waiting[worker]
            self.answers.append(
                CallAnswer(worker, waiting.call, NO_PUSH, version, None, phase.totals, refusal)
            )
            return
        lease = None
        if not phase.is_over:
            if phase.admission is None:
                return
            if self._pace.may_begin(phase, worker, version):
                lease = phase.admission.lease(worker, self._pace.num_alive(phase, version))
            if lease is None and not phase.admission.holds(worker):
                return
        outcome = waiting.outcome
        if outcome is None:
            member = self._members[worker]
            self._log.append(Keep(PushId(worker, member.incarnation, member.sequence)))
            outcome = Outcome("accepted")
        del self._waiting[worker]
        self._log.append(Pull(worker, waiting.call, version))
        rest = phase.totals.copy(), "", (), phase.start
        self.answers.append(CallAnswer(worker, waiting.call, outcome, version, lease, *rest))
