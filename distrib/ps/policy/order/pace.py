"""AdmissionPace: which workers may compute now. Bounds how far a fast worker runs ahead (SSP).

Nobody begins before all workers have come, or the wait for them is over: importing NumPy on another host may take
longer than a short training.

A worker that comes later, or again, takes fresh values, so it begins beside the slowest one: the others do not wait
until it has caught up.
"""

from __future__ import annotations

from distrib.ps.policy.admission.membership import Membership
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.identity import CHIEF
from distrib.ps.policy.order.phases import Phase


class AdmissionPace:
    """Paces the workers of one job.

    Args:
        rules: how gradients become updates.
        members: who is there.
    """

    def __init__(self, rules: Rules, members: Membership) -> None:
        self._rules, self._members = rules, members

    def may_begin(self, phase: Phase, worker: int, version: int) -> bool:
        """Whether a worker may lease examples of a phase, where the values have this version."""
        if not phase.trains:
            return True
        if self._is_warming_up(phase, version):
            return worker == CHIEF
        if self._members.num_awaited:
            return False
        slowest = min(
            (clock for each, clock in phase.clocks.items() if self._members.is_alive(each)), default=0
        )
        clock = phase.clocks.setdefault(worker, slowest)
        return clock == slowest or self._rules.staleness.may_begin(clock, slowest)

    def num_alive(self, phase: Phase, version: int) -> int:
        """Number of workers for a round; those that have not joined yet are awaited for a while."""
        if self._is_warming_up(phase, version):
            return 1
        return self._rules.num_workers - self._members.num_lost - sum(map(self._members.is_alive, phase.left))

    def _is_warming_up(self, phase: Phase, version: int) -> bool:
        epoch = phase.description.get("epoch", 0)
        return version < self._rules.warmup_steps or epoch < self._rules.warmup_epochs
