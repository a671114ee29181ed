"""PsUpdater: gradients are pushed to parameter servers, which update the values; examples are leased from them.

One round trip a step: push, what became of it, the next lease, and fresh values. What the others see of this
worker, and what became of every push, is decided in `ps/policy/order/sequencer.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from distrib.base.arrays import Array
from distrib.base.errors import ConfigError, NonFiniteError
from distrib.base.logs import LOGGER
from distrib.base.ranges import Range
from distrib.data.dataset import Batch
from distrib.data.schedule import Schedule, joined
from distrib.nn.batch_sums import BatchSums
from distrib.nn.network import Network
from distrib.nn.optimizers.optimizer import Optimizer
from distrib.proto import parameter_server_pb2 as pb
from distrib.ps.client.client import Client
from distrib.ps.policy.admission.ledger import Lease
from distrib.ps.wire.codec import lease_of, undone_of
from distrib.strategies.ps_worker.counters_table import table
from distrib.strategies.ps_worker.description import check_loop
from distrib.strategies.ps_worker.prefetch import Prefetch
from distrib.strategies.ps_worker.script_position import ScriptPosition
from distrib.strategies.ps_worker.time_accounting import TimeAccounting
from distrib.strategies.update.coordination import Coordination, Saved, State
from distrib.strategies.update.feed import AnySchedule, Data, Feed, Rest
from distrib.strategies.update.updater import NonFinitePolicy, Updater


class PsUpdater(Updater, Feed, Coordination):
    """Computes what it is leased.

    Args:
        client: the streams to the ps.
        phases: where the script is.
        network: the network; its values are those of the job.
        optimizer: its rate is sent along; the update happens on the ps.
        on_nonfinite: what to do about NaN or Inf.
        description: of the model; it is registered.
        prefetch: pushes in the background; None for one thing after the other.

    Attributes:
        is_in_loop: whether a loop of the script's own is under way.
    """

    sums_are_running = True
    ends_early = False  # what is leased has to be handed in, and others wait for it

    def __init__(
        self,
        client: Client,
        phases: ScriptPosition,
        network: Network,
        optimizer: Optimizer,
        on_nonfinite: NonFinitePolicy,
        description: dict[str, Any],
        prefetch: Prefetch | None = None,
    ) -> None:
        self._client, self._phases = client, phases
        self._network, self._optimizer, self._on_nonfinite = network, optimizer, on_nonfinite
        self._phase = 0
        self._lease: Lease | None = None
        self._is_in_epoch = self.is_in_loop = False
        self._rate = optimizer.learning_rate
        self._totals = BatchSums(0)
        self._summary = ""
        self._time_accounting = TimeAccounting()
        self._description, self._prefetch = description, prefetch
        self._version = self._register(description).version
        if network.states:
            LOGGER.warning(
                "Under ParameterServerStrategy each worker keeps its own %s, which layers change while they train: "
                "they are those of its examples, and the chief's are saved.",
                ", ".join(each.name for each in network.states[:5]),
            )

    def batches(
        self, dataset: Data, schedule: AnySchedule, epoch: int, num_sums: int, rest: Rest | None = None
    ) -> Iterator[Batch]:
        description = {"kind": "train", "epoch": epoch, **_described(schedule), "num_sums": num_sums}
        if rest is not None:
            description["undone"] = [[pass_index, *part] for pass_index, part in rest.undone]
            description["totals"] = rest.sums.tolist()
        if self._client.worker == 0:  # others may push before the chief's first push says it
            description["learning_rate"] = self._optimizer.learning_rate
        self._is_in_epoch = True
        return self._leased(dataset, schedule, description)

    def test_batches(self, dataset: Data, schedule: AnySchedule, num_sums: int) -> Iterator[Batch]:
        if self._is_in_epoch:
            raise ConfigError(
                "Under ParameterServerStrategy workers do not meet within an epoch, so nothing can be "
                "evaluated then. Call evaluate in on_epoch_end; predict may be called anywhere."
            )
        description = {"kind": "test", **_described(schedule), "num_sums": num_sums}
        return self._leased(dataset, schedule, description)

    def stops(self, wanted: bool) -> bool:
        """The chief decides: its vote is a phase of its own, which is over at once, with the vote as its sum."""
        description: dict[str, Any] = {"kind": "vote", **_described(Schedule(1, 1)), "num_sums": 1}
        if self._client.worker == 0:
            description["stops"] = wanted
        self._begin(description)
        return bool(self._totals.sums[0])

    def begin_own_step(self) -> None:
        """Begin a loop with its first step: from then on this worker holds a lease, which its next push hands in."""
        if self.is_in_loop:
            return
        check_loop(self._description["rules"])
        self._begin({"kind": "loop", **_described(Schedule(1, 1)), "num_sums": BatchSums(0).sums.size})
        self.is_in_loop = True

    def end_loop(self) -> None:
        """Wait until all workers have come to the end of the loop; then all have the same values."""
        if self.is_in_loop:
            self.is_in_loop = False
            self._begin({"kind": "join", **_described(Schedule(1, 1)), "num_sums": 1})

    def _begin(self, description: dict[str, Any]) -> None:
        self.end_loop()
        self._phase = self._phases.advance()
        self._time_accounting.asks()
        self._take(self._client.begin(self._phase, description, self._values))

    def end(self) -> None:
        pass  # Every worker has values of its own.

    def _leased(self, dataset: Any, schedule: Any, description: dict[str, Any]) -> Iterator[Batch]:
        self._begin(description)
        while self._lease is not None:
            if self._prefetch is not None and description["kind"] == "train" and not self._prefetch.is_busy:
                self._prefetch.begin(self._phase, description)
            yield dataset.leased(schedule, self._lease.span)

    def pull(self) -> None:
        pass  # The values have come with the lease.

    def push(self, batch_sums: BatchSums) -> BatchSums:
        if self.is_in_loop:
            if self._lease is None:  # a worker that was started again, where the others have left the loop
                return batch_sums
            batch_sums.count = 1.0
        buffer = self._network.buffer
        index = None if self._on_nonfinite == "allow" else buffer.first_nonfinite(buffer.grads)
        if index is not None and self._on_nonfinite == "raise":
            raise NonFiniteError(
                f"NaN or Inf in the gradient at step {self._version}, first in {buffer.layout[index].name} on "
                f"worker {self._client.worker}. Look at the data and the learning rate, or "
                'compile(on_nonfinite="skip") to leave such steps out.'
            )
        request, batch_sums.request = batch_sums.request, 0
        message = self._message(batch_sums)
        message.skip = index is not None
        message.allow_nonfinite = self._on_nonfinite == "allow"
        if self._client.worker == 0:
            message.learning_rate = self._optimizer.learning_rate
        total = self._hand_in(message, trains=True)
        total.request = request  # workers do not meet, so each decides for itself
        return total

    def tested(self, batch_sums: BatchSums) -> None:
        self._hand_in(self._message(batch_sums), trains=False)

    def total(self, tested: BatchSums) -> BatchSums:
        return self._totals

    def settle(self) -> BatchSums | None:
        self._is_in_epoch = False
        self._follow_chief()
        return self._totals

    def _follow_chief(self) -> None:
        """Take the chief's learning rate, which the ps update with."""
        rate = json.loads(self._summary).get("learning_rate") if self._summary else None
        own, former = self._optimizer.learning_rate, self._rate
        if rate is not None and self._client.worker:
            if not self._optimizer.has_schedule and own not in (rate, former):
                LOGGER.warning(
                    "worker %d has set learning_rate=%g, which changes nothing: parameter servers update with that "
                    "of the chief, %g. Set it on the chief.",
                    self._client.worker,
                    own,
                    rate,
                )
            self._optimizer.follow(rate)
        self._rate = self._optimizer.learning_rate

    def _message(self, batch_sums: BatchSums) -> pb.Push:
        if self._lease is None:
            raise ConfigError(
                "ParameterServerStrategy leases the examples of whole epochs. Received: train_on_batch. Use fit."
            )
        network = self._network
        whole = Range(0, network.buffer.values.size)
        batch_sums.penalty = network.penalties(whole) if network.penalties.any else 0.0
        self._phases.sequence += 1
        return pb.Push(
            phase=self._phase,
            sequence=self._phases.sequence,
            lease=self._lease.number,
            version=self._version,
            sums=batch_sums.sums.tolist(),
            seconds=self._time_accounting.seconds.values(),
        )

    def _hand_in(self, message: pb.Push, trains: bool) -> BatchSums:
        buffer, prefetch = self._network.buffer, self._prefetch
        self._time_accounting.asks()
        if not trains or prefetch is None:
            self._take(self._client.push(message, buffer.grads if trains else None, self._values))
            return self._totals
        # What was fetched while this was computed comes first, and then this is pushed.
        self._lease = None
        if prefetch.is_busy:
            self._take(prefetch.answer())
        prefetch.push(message, buffer.grads)
        if self._lease is None:
            self._take(prefetch.answer())
        return self._totals

    def _register(self, description: dict[str, Any], slots: Sequence[Array] = ()) -> pb.Answer:
        if self._prefetch is not None:
            np.copyto(self._prefetch.values, self._network.buffer.values)
        self.end_loop()
        answer = self._client.register(self._phases.advance(), description, self._values, slots)
        self._take_values()
        return answer

    def _take_values(self) -> None:
        if self._prefetch is not None:
            np.copyto(self._network.buffer.values, self._prefetch.values)

    @property
    def _values(self) -> Array:
        """Where values come."""
        return self._network.buffer.values if self._prefetch is None else self._prefetch.values

    def _take(self, answer: pb.Answer) -> None:
        self._time_accounting.has_answer(answer.waited, self._client.pull_s)
        self._take_values()
        self._lease, self._version = lease_of(answer), answer.version
        self._totals = BatchSums(0, np.array(answer.totals))
        self._summary = answer.summary or self._summary
        self._optimizer.iterations = answer.version

    def close(self) -> None:
        """Another one replaces it, or the job has ended."""
        if self._prefetch is not None:
            self._prefetch.close()

    def state(self) -> State | None:
        if self._client.worker:
            return None
        names, buffer = self._slot_names(), self._network.buffer
        if self._prefetch is not None:
            self._prefetch.settle()
        rows = np.empty((1 + len(names), buffer.size), self._network.dtype)
        self._time_accounting.asks()
        answer = self._client.state(rows)
        self._time_accounting.has_answer(answer.waited, self._client.pull_s)
        self._version = self._optimizer.iterations = answer.version
        buffer.values[...] = rows[0]
        slots = dict(zip(names, rows[1:], strict=True))
        return State(slots, joined(undone_of(answer)), np.array(answer.totals))

    def restore(self, saved: Saved | None) -> str:
        description, slots = dict(self._description), []
        if saved is not None and not self._client.worker:
            start = {"step": saved.step, "learning_rate": saved.learning_rate, "origin": saved.origin}
            description["start"] = start
            slots = [saved.slots[name] for name in self._slot_names()]
        self._time_accounting.asks()
        answer = self._register(description, slots)
        self._time_accounting.has_answer(answer.waited, self._client.pull_s)
        self._version = self._optimizer.iterations = answer.version
        return str(answer.start)

    def _slot_names(self) -> tuple[str, ...]:
        return self._optimizer.state_names

    def counters(self) -> dict[str, Any]:
        summary = json.loads(self._summary) if self._summary else {}
        seconds = {name: round(seconds, 6) for name, seconds in self._time_accounting.seconds.items()}
        return {**summary, "seconds": seconds, "bytes_sent": self._client.bytes_sent}

    def report(self) -> str:
        counters = self.counters()
        if "workers" not in counters:
            return ""
        return table(counters)


def _described(schedule: Any) -> dict[str, Any]:
    return {"num_examples": schedule.num_examples, **schedule.describe()}
