"""Sequencer, admission and staleness under random schedules of slow, fast, dying and returning workers."""

import json
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distrib.base.errors import ConfigError, ProtocolError
from distrib.data.schedule import Schedule, joined
from distrib.ps.policy.admission.rules import Rules, rules_from_config
from distrib.ps.policy.admission.staleness import AcceptStale, BoundStale, DropStale, ScaleStale
from distrib.ps.policy.errors import RefusedError
from distrib.ps.policy.identity import PushId
from distrib.ps.policy.order.command_log import Apply, Discard, Keep, Pull
from distrib.ps.policy.order.phases import admission_of
from distrib.ps.policy.order.push_assembly import PushAssembly
from distrib.ps.policy.order.sequencer import PushRequest, Sequencer
from distrib.ps.policy.order.sequencer_state import sequencer_from_state, state_of
from distrib.ps.policy.order.snapshot_schedule import SnapshotSchedule
from distrib.ps.policy.validation import phase_description

MODEL = {"kind": "model", "learning_rate": 1.0}


class Job:
    """A job without I/O: workers that ask, compute, push, retry, die and come back, in an order drawn by a seed."""

    def __init__(self, seed, rules, num_examples, batch_size, deaths=True, epochs=1):
        self.random, self.rules, self.deaths, self.epochs = random.Random(seed), rules, deaths, epochs
        self.sequencer = Sequencer(rules)
        count = rules.num_workers
        self.incarnation, self.call, self.sequence = [0] * count, [0] * count, [0] * count
        self.state, self.leases, self.epoch = ["off"] * count, [[] for _ in range(count)], [0] * count
        self.phase = {
            "kind": "train",
            "num_examples": num_examples,
            "batch_size": batch_size,
            "steps_per_epoch": -(-num_examples // batch_size),
            "num_sums": 4,
        }
        self.spans, self.applied, self.trace, self.staged, self.updates = {}, [], [], set(), []
        self.from_version, self.told, self.begun = {}, {}, []

    def run(self, max_events=20_000):
        for _ in range(max_events):
            worker = self.random.randrange(self.rules.num_workers)
            self.event(worker, self.random.random())
            if self.state[0] == "over" and all(state in ("over", "off") for state in self.state):
                return self
        raise AssertionError(f"no end: {self.state}, {self.trace[-20:]}")

    def event(self, worker, luck):
        sequencer, state = self.sequencer, self.state[worker]
        if state == "off":
            self.incarnation[worker] += 1
            self.sequence[worker] = 0
            self.leases[worker].clear()
            self.epoch[worker] = 0
            sequencer.join(worker, self.incarnation[worker])
            self.ask(worker, "registering")
            push = PushId(worker, self.incarnation[worker], 0)
            sequencer.register(worker, self.call[worker], 0, MODEL, push if worker == 0 else None)
        elif state == "registered":
            self.begin(worker)
        elif self.deaths and worker and luck < 0.03:
            self.state[worker] = "off"
            sequencer.leave(worker, self.incarnation[worker])
        elif state == "computing" and self.rules.prefetch and len(self.leases[worker]) == 1 and luck < 0.5:
            self.begin(worker)
        elif state == "computing":
            lease, version = self.leases[worker].pop(0)
            self.sequence[worker] += 1
            push = PushId(worker, self.incarnation[worker], self.sequence[worker])
            self.spans[push], self.from_version[push] = lease.span, version
            self.staged.add(push)
            for _ in range(1 + (luck < 0.2)):  # some answers are lost, and the push is sent again
                self.ask(worker, "waiting")
                sums = np.array([lease.span.range.size, 0.0, 1.0, 0.0])
                sequencer.push(
                    PushRequest(push, self.call[worker], 1 + self.epoch[worker], lease.number, version, sums)
                )
        self.settle()

    def begin(self, worker):
        self.ask(worker, "waiting")
        epoch = self.epoch[worker]
        self.sequencer.begin(worker, self.call[worker], 1 + epoch, self.phase | {"epoch": epoch})

    def ask(self, worker, state):
        self.call[worker] += 1
        self.state[worker] = state

    def spans_of_updates(self):
        applies = [entry for entry in self.trace if isinstance(entry, Apply)]
        return [[self.spans[push] for push in entry.pushes] for entry in applies]

    def settle(self):
        for entry in self.sequencer.log:
            self.trace.append(entry)
            if isinstance(entry, Apply):
                self.updates.append([push.worker for push in entry.pushes])
                self.applied += [self.spans[push] for push in entry.pushes]
                self.staged -= set(entry.pushes)
            elif isinstance(entry, Discard):
                self.staged.discard(entry.push)
            elif isinstance(entry, Keep):
                assert entry.push in self.staged
        for answer in self.sequencer.answers:
            worker = answer.worker
            if self.state[worker] == "off" or answer.call != self.call[worker]:
                continue
            if answer.outcome.decision:
                self.told[PushId(worker, self.incarnation[worker], self.sequence[worker])] = answer.outcome
            if answer.lease is not None:
                self.leases[worker].append((answer.lease, answer.version))
                self.begun.append((worker, self.epoch[worker], answer.version))
            if self.leases[worker]:
                self.state[worker] = "computing"
            elif self.state[worker] == "registering":
                self.state[worker] = "registered"
            else:
                self.epoch[worker] += 1
                self.state[worker] = "over" if self.epoch[worker] == self.epochs else "registered"
        self.sequencer.log.clear()
        self.sequencer.answers.clear()


class LoopJob(Job):
    """Workers whose loops of their own have given numbers of steps, and that wait for each other after it."""

    def __init__(self, seed, rules, steps, deaths):
        super().__init__(seed, rules, 1, 1, deaths=deaths, epochs=2)
        self.steps, self.num_leases = steps, 0
        self.done = [0] * rules.num_workers

    def event(self, worker, luck):
        if self.state[worker] == "off":
            self.done[worker] = 0  # its script begins anew
        if self.state[worker] == "computing" and self.done[worker] == self.steps[worker]:
            self.leases[worker].clear()
            self.epoch[worker] = 1
            self.state[worker] = "registered"
        self.done[worker] += self.state[worker] == "computing"
        super().event(worker, luck)

    def begin(self, worker):
        self.ask(worker, "waiting")
        kind = ("loop", "join")[self.epoch[worker]]
        self.sequencer.begin(worker, self.call[worker], 1 + self.epoch[worker], self.phase | {"kind": kind})


@settings(max_examples=250, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    steps=st.lists(st.integers(0, 8), min_size=6, max_size=6),
    deaths=st.booleans(),
)
def test_loops_of_ones_own_come_to_their_end(seed, steps, deaths):
    drawn = rules_of(seed).get_config() | {"warmup_steps": 0, "warmup_epochs": 0, "prefetch": False}
    rules = rules_from_config(drawn | {"batch_size_factor": 1.0})
    job = LoopJob(seed, rules, steps, deaths).run()
    counts = job.sequencer.counts
    assert counts.pushed == counts.applied + counts.dropped
    assert not job.staged, "gradients are kept that nobody will use"
    for entry in (each for each in job.trace if isinstance(each, Apply)):
        assert len(entry.pushes) == (rules.num_to_aggregate if rules.is_sync else 1)
        assert entry.scale == (rules.num_workers / len(entry.pushes) if rules.is_sync else 1.0)
    if not deaths:
        assert counts.pushed == sum(steps[: rules.num_workers])
        if isinstance(rules.staleness, AcceptStale | ScaleStale | BoundStale) and not rules.is_sync:
            assert counts.dropped == 0
        if rules.is_sync and len(set(steps[: rules.num_workers])) == 1 and not rules.num_backup_workers:
            assert (counts.dropped, counts.updates) == (0, steps[0])
            assert all(sorted(workers) == list(range(rules.num_workers)) for workers in job.updates)


def rules_of(seed):
    draw = random.Random(seed)
    num_workers = draw.randint(1, 6)
    warmup = {"warmup_steps": draw.choice([0, 0, 3]), "warmup_epochs": draw.choice([0, 0, 0, 1])}
    if draw.random() < 0.5:
        return Rules("sync", num_workers, num_backup_workers=draw.randrange(num_workers), **warmup)
    policies = [
        AcceptStale(),
        DropStale(draw.randrange(4)),
        ScaleStale(draw.choice(["inverse", "zhang"])),
        BoundStale(draw.randrange(3)),
    ]
    policy, prefetch = draw.choice(policies), draw.random() < 0.5
    factors = {f"{name}_factor": draw.choice([0.25, 1.0, 2.0]) for name in ("learning_rate", "batch_size")}
    return Rules("async", num_workers, staleness=policy, prefetch=prefetch, **factors, **warmup)


def expected_factor(policy, staleness):
    """Of the learning rate, as the papers have it; None for a gradient that is dropped."""
    match policy:
        case DropStale(max_staleness=most):
            return 1.0 if staleness <= most else None
        case ScaleStale(rule="inverse"):
            return 1 / (1 + staleness)
        case ScaleStale(rule="zhang"):
            return 1 / staleness if staleness else 1.0
    return 1.0


@settings(max_examples=250, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    num_examples=st.integers(1, 60),
    batch_size=st.integers(1, 13),
    epochs=st.integers(1, 2),
)
def test_every_example_is_applied_exactly_once_an_epoch(seed, num_examples, batch_size, epochs):
    rules = rules_of(seed)
    job = Job(seed, rules, num_examples, batch_size, epochs=epochs).run()
    positions = sorted((span.pass_index, at) for span in job.applied for at in range(*span.range))
    assert positions == [(epoch, at) for epoch in range(epochs) for at in range(num_examples)]
    counts = job.sequencer.counts
    assert counts.pushed == counts.applied + counts.dropped
    assert counts.applied == len(job.applied)
    assert not job.staged, "gradients are kept that nobody will use"
    # The effective batch.
    assert (counts.examples, counts.updates) == (epochs * num_examples, len(job.updates))
    assert counts.as_json()["effective_batch"] == epochs * num_examples / len(job.updates)
    largest = batch_size if rules.is_sync else max(1, round(batch_size * rules.batch_size_factor))
    if rules.is_sync and rules.num_backup_workers:
        # The parts that make a round may all be the largest of those that it is cut into.
        largest = rules.num_to_aggregate * -(-batch_size // rules.num_to_aggregate)
    assert all(sum(each.range.size for each in spans) <= largest for spans in job.spans_of_updates())
    # Warm-up, by updates and by epochs.
    for worker, epoch, version in job.begun:
        assert worker == 0 or (version >= rules.warmup_steps and epoch >= rules.warmup_epochs)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), num_examples=st.integers(1, 60), batch_size=st.integers(1, 13))
def test_the_rate_of_every_update_follows_from_its_staleness(seed, num_examples, batch_size):
    rules = rules_of(seed)
    job = Job(seed, rules, num_examples, batch_size, epochs=2).run()
    rate, histogram = MODEL["learning_rate"] * rules.learning_rate_factor, Counter()
    for entry in (each for each in job.trace if isinstance(each, Apply)):
        for push in entry.pushes:
            staleness = entry.version - 1 - job.from_version[push]
            histogram[staleness] += 1
            assert staleness == 0 or not rules.is_sync
            assert entry.learning_rate == rate * expected_factor(rules.staleness, staleness)
    assert job.sequencer.counts.staleness == histogram
    for outcome in job.told.values():
        factor = expected_factor(rules.staleness, outcome.staleness)
        if outcome.decision == "dropped":
            assert (outcome.why == "too stale") == (factor is None), outcome
        else:
            assert outcome.factor == factor, outcome
            assert (
                outcome.decision in ("applied", "accepted") if factor == 1 else outcome.decision == "scaled"
            )


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_same_events_same_decisions(seed):
    traces = [Job(seed, rules_of(seed), 40, 7).run().trace for _ in range(2)]
    assert traces[0] == traces[1]


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), num_workers=st.integers(1, 6), data=st.data())
def test_a_synchronous_update_takes_distinct_workers(seed, num_workers, data):
    backups = data.draw(st.integers(0, num_workers - 1))
    batch_size = data.draw(st.integers(num_workers, 12))
    job = Job(seed, Rules("sync", num_workers, backups), 50, batch_size, deaths=False).run()
    *updates, last = job.updates
    for workers in updates:
        assert len(set(workers)) == len(workers) == num_workers - backups
    assert len(set(last)) == len(last) <= num_workers - backups


def test_without_backups_a_round_is_the_batch_of_one_process():
    job = Job(3, Rules("sync", 3), 20, 8, deaths=False).run()
    spans = [(span.range.begin, span.range.end) for span in job.applied]
    assert spans == [(0, 3), (3, 6), (6, 8), (8, 11), (11, 14), (14, 16), (16, 18), (18, 19), (19, 20)]


@pytest.mark.parametrize(("limit", "applied"), [(2, 3), (1, 2), (0, 1)])
def test_the_limit_of_staleness_is_applied_and_the_next_is_dropped(limit, applied):
    sequencer = ready(Rules("async", 3, staleness=DropStale(limit)))
    leases = {answer.worker: answer.lease for answer in sequencer.answers if answer.lease}
    for worker in range(3):  # all three computed from version 0
        sequencer.push(
            PushRequest(PushId(worker, 1, 1), 3, 1, leases[worker].number, 0, np.array([1.0, 0, 0, 0]))
        )
    assert sequencer.counts.applied == applied
    assert sequencer.counts.dropped == 3 - applied


@pytest.mark.parametrize(("rule", "factors"), [("inverse", [1, 1 / 2, 1 / 3]), ("zhang", [1, 1, 1 / 2])])
def test_scaling(rule, factors):
    sequencer = ready(Rules("async", 3, staleness=ScaleStale(rule)))
    leases = {answer.worker: answer.lease for answer in sequencer.answers if answer.lease}
    for worker in range(3):
        sequencer.push(
            PushRequest(PushId(worker, 1, 1), 3, 1, leases[worker].number, 0, np.array([1.0, 0, 0, 0]))
        )
    assert [entry.learning_rate for entry in sequencer.log if isinstance(entry, Apply)] == factors


def test_bound_lets_the_fast_wait():
    sequencer = ready(Rules("async", 2, staleness=BoundStale(2)), num_examples=100)
    lease = next(answer.lease for answer in sequencer.answers if answer.lease and answer.worker == 0)
    sequencer.answers.clear()
    done = 0
    while True:
        done += 1
        sequencer.push(
            PushRequest(PushId(0, 1, done), 2 + done, 1, lease.number, 0, np.array([1.0, 0, 0, 0]))
        )
        if not sequencer.answers:
            break
        lease = sequencer.answers.pop().lease
    assert done == 3  # the slow worker has done 0, and 3 is more than 2 ahead
    sequencer.leave(1, 1)
    assert sequencer.answers, "the slow worker is gone: there is nobody to wait for"


def leases_until_it_waits(sequencer, lease, sequence):
    """Worker 0 goes on from this lease and push; how many it has handed in when it has to wait, at most 10."""
    for done in range(1, 11):
        call, version = 10 + sequence + done, sequencer.version
        sums = np.array([1.0, 0, 0, 0])
        sequencer.push(PushRequest(PushId(0, 1, sequence + done), call, 1, lease.number, version, sums))
        answers = [answer for answer in sequencer.answers if answer.call == call and answer.worker == 0]
        if not answers:
            return done
        lease = answers[0].lease
    return done


@pytest.mark.parametrize("came", ["as another process", "again", "after warm-up"])
def test_bound_does_not_wait_for_what_was_done_before_a_worker_came(came):
    """The chief has done 5 batches without the other one; it may do 3 more, as if they had begun together."""
    warmup = 5 if came == "after warm-up" else 0
    rules = Rules("async", 2, staleness=BoundStale(2), warmup_steps=warmup)
    sequencer = ready(rules, num_examples=100)
    lease = next(answer.lease for answer in sequencer.answers if answer.lease and answer.worker == 0)
    if not warmup:
        sequencer.leave(1, 1)
    for done in range(1, 6):
        sequencer.push(
            PushRequest(PushId(0, 1, done), 2 + done, 1, lease.number, done - 1, np.array([1.0, 0, 0, 0]))
        )
        lease = next(each.lease for each in sequencer.answers if each.worker == 0 and each.call == 2 + done)
    if not warmup:
        incarnation = 1 if came == "again" else 2
        sequencer.join(1, incarnation)
        phase = sequencer.phases.all[1].description
        sequencer.register(1, 3, 0, MODEL, None)
        sequencer.begin(1, 4, 1, phase)
    assert [answer.lease for answer in sequencer.answers if answer.worker == 1][-1], "the other one has begun"
    assert leases_until_it_waits(sequencer, lease, 5) == 3


class TestRefusals:
    def test_of_a_version_of_the_future(self):
        sequencer = ready(Rules("async", 1))
        lease = next(answer.lease for answer in sequencer.answers if answer.lease)
        with pytest.raises(RefusedError, match=r"a version up to 0\. Received: 4 sums, version 1"):
            sequencer.push(PushRequest(PushId(0, 1, 1), 3, 1, lease.number, 1, np.zeros(4)))
        assert sequencer.version == 0
        assert sequencer.counts.pushed == 0

    def test_of_an_older_process(self):
        sequencer = ready(Rules("async", 1))
        sequencer.leave(0, 1)
        sequencer.join(0, 2)
        with pytest.raises(RefusedError, match="was started again since"):
            sequencer.push(PushRequest(PushId(0, 1, 1), 3, 1, 0, 0, np.zeros(4)))
        with pytest.raises(RefusedError, match="was started again since"):
            sequencer.join(0, 1)

    def test_of_a_second_process_for_one_worker(self):
        sequencer = ready(Rules("async", 2))
        with pytest.raises(RefusedError, match="Worker 1 is running already"):
            sequencer.join(1, 2)

    def test_of_a_gap(self):
        sequencer = ready(Rules("async", 1))
        with pytest.raises(RefusedError, match=r"Expected push 1 of worker 0\. Received: push 3"):
            sequencer.push(PushRequest(PushId(0, 1, 3), 3, 1, 0, 0, np.zeros(4)))

    @pytest.mark.parametrize("first", [0, 1])
    def test_of_another_model(self, first):
        sequencer = Sequencer(Rules("async", 2))
        for worker in (first, 1 - first):
            sequencer.join(worker, 1)
            model = {"layers": [{"units": 10 + 10 * worker}], "learning_rate": 1.0}
            sequencer.register(worker, 1, 0, model, None if worker else PushId(0, 1, 0))
        refusals = {answer.worker: answer.refusal for answer in sequencer.answers}
        assert refusals[0] == ""
        assert "layers[0].units (chief: 10, here: 20)" in refusals[1]

    def test_of_a_worker_that_is_none(self):
        with pytest.raises(RefusedError, match=r"Expected a worker from 0 to 1\. Received: worker 2"):
            Sequencer(Rules("sync", 2)).join(2, 1)


def test_a_retry_is_counted_once_and_answered_again():
    sequencer = ready(Rules("async", 1))
    lease = next(answer.lease for answer in sequencer.answers if answer.lease)
    for call in (3, 4, 5):
        sequencer.push(PushRequest(PushId(0, 1, 1), call, 1, lease.number, 0, np.array([1.0, 0, 0, 0])))
        assert sequencer.answers[-1].call == call
        assert sequencer.answers[-1].outcome.decision == "applied"
    assert sequencer.counts.applied == 1
    assert sum(isinstance(entry, Apply) for entry in sequencer.log) == 1
    assert sum(isinstance(entry, Pull) and entry.call >= 3 for entry in sequencer.log) == 3


def test_warm_up_is_the_chief_alone():
    job = Job(5, Rules("async", 4, warmup_steps=5), 40, 4, deaths=False).run()
    assert job.updates[:5] == [[0]] * 5
    assert {worker for workers in job.updates[5:] for worker in workers} != {0}


def test_warm_up_by_epochs_is_the_chief_alone_and_then_all():
    job = Job(5, Rules("async", 4, warmup_epochs=1), 40, 4, deaths=False, epochs=2).run()
    assert job.updates[:10] == [[0]] * 10
    assert {worker for workers in job.updates[10:] for worker in workers} == {0, 1, 2, 3}


@pytest.mark.parametrize(
    "arguments",
    [
        {"mode": "both"},
        {"num_workers": 2, "num_backup_workers": 2},
        {"mode": "async", "num_workers": 3, "num_backup_workers": 1},
        {"mode": "sync", "staleness": DropStale(1)},
        {"warmup_steps": -1},
        {"learning_rate_factor": 0.0},
    ],
)
def test_rules_that_cannot_be_right(arguments):
    with pytest.raises(ConfigError):
        Rules(**arguments)


def test_rules_travel_as_json():
    rules = Rules("async", 4, staleness=ScaleStale("zhang"), warmup_steps=7, learning_rate_factor=0.5)
    again = rules_from_config(rules.get_config())
    assert again.get_config() == rules.get_config()
    with pytest.raises(ConfigError, match="Expected a staleness policy"):
        rules_from_config(rules.get_config() | {"staleness": {"class": "Os"}})


def ready(rules, num_examples=10):
    """A sequencer whose workers all wait for the answer to `begin`, with batches of one example."""
    sequencer = Sequencer(rules)
    for worker in range(rules.num_workers):
        sequencer.join(worker, 1)
        push = PushId(worker, 1, 0) if worker == 0 else None
        sequencer.register(worker, 1, 0, MODEL, push)
    phase = {"kind": "train", "num_examples": num_examples, "batch_size": 1, "steps_per_epoch": num_examples}
    for worker in range(rules.num_workers):
        sequencer.begin(worker, 2, 1, phase | {"num_sums": 4})
    sequencer.log.clear()
    return sequencer


def test_a_skipped_update_is_dropped_and_its_examples_are_done():
    sequencer = Sequencer(Rules("sync", 2))
    phase = {"kind": "train", "num_examples": 2, "batch_size": 2, "steps_per_epoch": 1, "num_sums": 4}
    for worker in range(2):
        sequencer.join(worker, 1)
        sequencer.register(worker, 1, 0, MODEL, None if worker else PushId(0, 1, 0))
    for worker in range(2):
        sequencer.begin(worker, 2, 1, phase)
    leases = {answer.worker: answer.lease for answer in sequencer.answers if answer.lease}
    sequencer.answers.clear()
    for worker in range(2):
        sums = np.array([1.0, 0.0, np.nan if worker else 1.0, 0.0])
        sequencer.push(
            PushRequest(PushId(worker, 1, 1), 3, 1, leases[worker].number, 0, sums, skip=worker == 1)
        )
    assert [answer.outcome.decision for answer in sequencer.answers] == ["dropped", "dropped"]
    assert all("NaN or Inf" in answer.outcome.why for answer in sequencer.answers)
    assert sequencer.phases.all[1].is_over
    assert not sequencer.phases.all[1].totals.any()
    assert (sequencer.version, sequencer.counts.applied, sequencer.counts.dropped) == (0, 0, 2)
    assert not any(isinstance(entry, Apply) for entry in sequencer.log)


def test_what_a_dead_process_left_half_sent_is_forgotten_everywhere():
    arrivals = PushAssembly()
    arrivals.num_ps = 2
    assert arrivals.arrived(PushId(1, 7, 1), 3, 1) is None
    arrivals.forget(1)
    assert arrivals.torn(1, 7) == [], "the same process may send it again"
    assert arrivals.torn(1, 8) == [PushId(1, 7, 1)]
    assert arrivals.torn(1, 8) == []
    arrivals.expect(PushId(1, 8, 1), 3, lambda: None)
    assert arrivals.arrived(PushId(1, 8, 1), 3, 0) is None
    assert arrivals.arrived(PushId(1, 8, 1), 3, 1) is not None


def test_parts_of_two_calls_are_not_put_together():
    """A call that one ps has refused leaves a part on the other; the worker pushes again under the next number."""
    arrivals, push, decided = PushAssembly(), PushId(1, 7, 1), []
    arrivals.num_ps = 2
    arrivals.expect(push, 3, lambda: decided.append(3))
    assert arrivals.arrived(push, 3, 0) is None
    assert arrivals.arrived(push, 4, 1) is None, "ps:1 has the next call before ps:0 has"
    arrivals.expect(push, 3, lambda: decided.append(3))
    assert arrivals.arrived(push, 3, 0) is None, "the first call comes late"
    arrivals.expect(push, 4, lambda: decided.append(4))
    arrivals.arrived(push, 4, 0)()
    assert decided == [4]
    assert not arrivals.awaits(1, 7), "nothing is left of the first call"


def test_cuts_are_at_borders_and_every_so_many_updates():
    cuts = SnapshotSchedule(every=10)
    seen = [
        (cuts.is_due(borders, version), cuts.number, cuts.border)
        for borders, version in ((2, 0), (2, 9), (2, 10), (2, 19), (3, 19), (3, 28), (3, 29))
    ]
    assert seen == [
        (True, 1, 1),
        (False, 1, 1),
        (True, 2, 1),
        (False, 2, 1),
        (True, 3, 3),
        (False, 3, 3),
        (True, 4, 3),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "rest"},
        {"epoch": -1},
        {"learning_rate": -0.1},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"learning_rate": 10**400},
        {"learning_rate": "0.1"},
        {"stops": 1},
    ],
)
def test_a_description_that_cannot_be_right_is_refused(wrong):
    right = {"kind": "train", "num_examples": 2, "batch_size": 1, "steps_per_epoch": 2, "num_sums": 4}
    assert phase_description(json.dumps(right | {"learning_rate": 0.1, "stops": True}))
    with pytest.raises(ProtocolError, match=r"description of an epoch is invalid|is no number of JSON"):
        phase_description(json.dumps(right | wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        {"undone": [[0, 3, 1]]},
        {"undone": [[0, -1, 1]]},
        {"undone": [0]},
        {"totals": [1.0]},
        {"totals": ["x"] * 4},
    ],
)
def test_what_is_left_of_an_epoch_and_cannot_be_right_is_refused(wrong):
    right = {"kind": "train", "num_examples": 2, "batch_size": 1, "steps_per_epoch": 2, "num_sums": 4}
    assert phase_description(json.dumps(right | {"undone": [[0, 1, 2]], "totals": [0.5] * 4}))
    with pytest.raises(ProtocolError, match=r"remaining positions|Expected 4 sums|range of positions"):
        phase_description(json.dumps(right | wrong))


@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 30), st.integers(0, 5))
def test_the_spans_of_an_epoch_are_its_batches_joined(num_examples, batch_size, num_steps, epoch):
    schedule = Schedule(num_examples, batch_size, num_steps)
    assert schedule.spans(epoch) == joined(schedule.epoch(epoch))


EPOCH = {"kind": "train", "num_examples": 50, "batch_size": 5, "steps_per_epoch": 10, "num_sums": 4}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("is_sync", [True, False])
@pytest.mark.parametrize(
    ("numbers", "is_possible"),
    [
        ({"num_examples": 2**53, "batch_size": 1, "steps_per_epoch": 2**53}, True),
        ({"steps_per_epoch": 2**53}, False),
        ({"steps_per_epoch": 1_000_001}, False),
        ({"num_examples": 10**300, "batch_size": 1, "steps_per_epoch": 10**300}, False),
        ({"epoch": 2**60}, False),
    ],
)
def test_an_epoch_takes_little_time_and_memory_or_is_refused(numbers, is_possible, is_sync):
    """The ps decides under a lock: what a worker says must not keep it for long."""
    text = json.dumps(EPOCH | numbers)
    if not is_possible:
        with pytest.raises(ProtocolError, match="is invalid"):
            phase_description(text)
        return
    admission = admission_of(Rules("sync" if is_sync else "async", 2), phase_description(text))
    assert not admission.ledger.is_done


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_loop_goes_on_from_what_the_parameter_servers_have_saved(mode):
    """One worker waits at the end of the loop, the other is in it; both ask again, and both come to the end."""
    sequencer = Sequencer(Rules(mode, 2))
    phase = {"num_examples": 1, "batch_size": 1, "steps_per_epoch": 1, "num_sums": 4}

    def begin(worker, call, index, kind):
        sequencer.begin(worker, call, index, phase | {"kind": kind})

    for worker in range(2):
        sequencer.join(worker, 1)
        sequencer.register(worker, 1, 0, MODEL, PushId(0, 1, 0) if worker == 0 else None)
    for worker in range(2):
        begin(worker, 2, 1, "loop")
    lease = next(each.lease for each in reversed(sequencer.answers) if each.worker == 1)
    begin(0, 3, 2, "join")
    sequencer = sequencer_from_state(json.loads(json.dumps(state_of(sequencer))))
    for worker in range(2):
        sequencer.join(worker, 1)
    begin(0, 4, 2, "join")
    push = PushRequest(PushId(1, 1, 1), 3, 1, lease.number, 0, np.array([1.0, 0, 0, 0]))
    sequencer.push(push)
    assert sequencer.answers[-1].outcome.decision == "dropped", "its lease was another one"
    again = sequencer.answers[-1].lease
    begin(1, 4, 2, "join")
    assert again is not None
    assert [(each.worker, each.lease) for each in sequencer.answers[-2:]] == [(0, None), (1, None)]
    assert sequencer.phases.all[1].is_over
