"""Parameter servers that are lost and come back from their last checkpoint, while the workers wait."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from campaigns.pushes import Campaign
from conftest import missing
from helpers.ps import worker_of
from helpers.replicas import difference, in_one_process
from ps.test_sequencer import Job, rules_of

import distrib
from distrib.io.checkpoint_folder import checkpoints, latest_whole, read_checkpoint, write_checkpoint
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.errors import RefusedError
from distrib.ps.policy.identity import PushId
from distrib.ps.policy.order.command_log import Apply, Discard
from distrib.ps.policy.order.sequencer import PushRequest, Sequencer
from distrib.ps.policy.order.sequencer_state import sequencer_from_state, state_of
from distrib.ps.server.checkpoint_writer import CheckpointOptions
from distrib.ps.server.server import Server
from distrib.ps.server.server_options import ServerOptions
from distrib.strategies.parameter_server import ParameterServerStrategy

rng = np.random.default_rng(4)
X, Y = rng.normal(size=(60, 6)), rng.integers(0, 3, 60)


def training(strategy, epochs=6, callbacks=()):
    model = distrib.Sequential(
        [
            distrib.layers.Dense(9, activation="tanh", kernel_regularizer="l2", input_shape=(6,)),
            distrib.layers.Dropout(0.2),
            distrib.layers.Dense(3, activation="softmax"),
        ],
        dtype="float64",
        seed=7,
    )
    model.compile(distrib.optimizers.Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
    history = model.fit(X, Y, batch_size=12, epochs=epochs, verbose=0, callbacks=callbacks)
    return model.get_weights(), history.history


class Pause(distrib.callbacks.Callback):
    """Gives the test time to act."""

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.01)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("num_ps", [1, 2])
@pytest.mark.parametrize("share_memory", [False, True])
def test_c6_ps_are_killed_and_restored_and_the_workers_wait(tmp_path, num_ps, mode, share_memory):
    saved = CheckpointOptions(tmp_path, every=4)
    servers = [Server("127.0.0.1:0", ServerOptions(checkpoints=saved)) for _ in range(num_ps)]
    ports = [server.port for server in servers]
    addresses = tuple(f"127.0.0.1:{port}" for port in ports)
    results, open_strategies = {}, []

    def work(worker):
        strategy = ParameterServerStrategy(
            worker_of(worker, 2, addresses), mode, share_memory=share_memory, ps_timeout_s=20.0
        )
        open_strategies.append(strategy)
        with strategy.scope():
            results[worker] = (*training(strategy, callbacks=[Pause()]), strategy.counters)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(2)]
    for thread in threads:
        thread.start()
    while (
        len(checkpoints(tmp_path, "ps")) < 2
        or read_checkpoint(checkpoints(tmp_path, "ps")[-1])[1]["sequencer"]["version"] < 8
    ):
        time.sleep(0.005)
    for server in servers:
        server.close()
    assert not results, "the fault came too late"
    time.sleep(0.3)
    servers = [
        Server(f"127.0.0.1:{port}", ServerOptions(checkpoints=saved._replace(restore=True))) for port in ports
    ]
    for thread in threads:
        thread.join(40)
    assert set(results) == {0, 1}
    for strategy in open_strategies:
        strategy.close()
    for server in servers:
        assert server.has_ended.wait(2.0)
        server.close()
    weights, history, counters = results[0]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(weights, results[1][0], strict=True))
    assert counters["pushed"] == counters["applied"] + counters["dropped"]
    assert counters["version"] == 6 * 5
    if mode == "sync":
        expected_weights, expected_history = in_one_process(training)
        assert difference(weights, expected_weights) <= 1e-12
        np.testing.assert_allclose(history["loss"], expected_history["loss"], rtol=1e-9)


class Versions(Pause):
    """What a worker believes to be done. It trains no further than `hold_at` until it is released."""

    def __init__(self, hold_at):
        super().__init__()
        self.acknowledged, self.hold_at = [], hold_at
        self.released = threading.Event()

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch)
        self.acknowledged.append(self.model.optimizer.iterations)
        if self.acknowledged[-1] >= self.hold_at:
            self.released.wait(30)


@pytest.mark.parametrize(("num_ps", "told"), [(1, [0]), (2, [0, 1]), (2, [1])])
def test_c31_a_ps_that_is_told_to_end_loses_nothing(tmp_path, num_ps, told):
    def start(port=0, *flags):
        address = f"127.0.0.1:{port}"
        saves = ("--checkpoint-dir", str(tmp_path), "--checkpoint-steps", "1000")
        return subprocess.Popen(
            [sys.executable, "-m", "distrib", "ps", "--address", address, *saves, *flags],
            stdout=subprocess.PIPE,
            text=True,
        )

    def ended(process, seconds):
        with process.stdout:
            return process.wait(seconds)

    processes = [start() for _ in range(num_ps)]
    addresses = tuple(process.stdout.readline().split()[-1] for process in processes)
    results, versions, open_strategies = {}, Versions(hold_at=12), []

    def work(worker):
        strategy = ParameterServerStrategy(worker_of(worker, 2, addresses), ps_timeout_s=20.0)
        open_strategies.append(strategy)
        callback = Pause() if worker else versions
        with strategy.scope():
            results[worker] = training(strategy, callbacks=[callback])

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(2)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while (not versions.acknowledged or versions.acknowledged[-1] < 12) and time.monotonic() < deadline:
        time.sleep(0.005)
    begin = time.monotonic()
    for index in told:
        processes[index].send_signal(signal.SIGTERM)
    codes = [ended(process, 15) for process in processes]
    assert time.monotonic() - begin < 10
    versions.released.set()
    assert codes == [75] * num_ps, "the one that a signal ends, and those that lose it"
    assert not results, "the fault came too late"
    number = versions.acknowledged[-1]
    manifest = latest_whole(tmp_path, "ps")[2]
    assert manifest["sequencer"]["version"] >= number > 10, "in the midst of an epoch"
    processes = [start(address.rpartition(":")[2], "--restore") for address in addresses]
    for thread in threads:
        thread.join(40)
    for strategy in open_strategies:
        strategy.close()
    assert [ended(process, 5) for process in processes] == [0] * num_ps
    expected_weights, expected_history = in_one_process(training)
    assert difference(results[0][0], expected_weights) <= 1e-12
    np.testing.assert_allclose(results[0][1]["loss"], expected_history["loss"], rtol=1e-9)


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid():
        missing("root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(("num_ps", "told"), [(1, 0), (2, 0), (2, 1)])
def test_c31_a_ps_that_cannot_save_when_it_is_told_to_end_says_so_and_fails(small_disk, num_ps, told):
    """The disk is full. The checkpoint before is whole, and training goes on from there when there is space."""
    filling, words = small_disk / "filling", r"cannot be written: it needs \d+ bytes, and \d+ are free"

    def start(port=0, *flags):
        saves = ("--checkpoint-dir", str(small_disk), "--checkpoint-steps", "5")
        return subprocess.Popen(
            [sys.executable, "-m", "distrib", "ps", "--address", f"127.0.0.1:{port}", *saves, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    processes = [start() for _ in range(num_ps)]
    addresses = tuple(process.stdout.readline().split()[-1] for process in processes)
    results, versions = [], Versions(hold_at=12)

    def work():
        strategy = ParameterServerStrategy(worker_of(0, 1, addresses), ps_timeout_s=20.0)
        try:
            with strategy.scope():
                results.append(training(strategy, callbacks=[versions]))
        finally:
            strategy.close()

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 20
    while not versions.acknowledged or versions.acknowledged[-1] < 12 or not checkpoints(small_disk, "ps"):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    free = shutil.disk_usage(small_disk).free
    filling.write_bytes(bytes(free - 4096))
    before, begin = versions.acknowledged[-1], time.monotonic()
    processes[told].send_signal(signal.SIGTERM)
    time.sleep(0.3)
    processes[told].send_signal(signal.SIGTERM)  # a second one: do not wait for the chief
    outputs = [process.communicate(timeout=15)[0] for process in processes]
    assert time.monotonic() - begin < 7
    versions.released.set()
    assert [process.returncode for process in processes] == [74 if ps == told else 75 for ps in range(num_ps)]
    last = outputs[told].splitlines()[-1]
    assert re.search(rf"What this ps keeps is not saved: .*{small_disk}/ps-\d+ {words}", last), outputs[told]
    assert not results, "the fault came too late"
    assert latest_whole(small_disk, "ps")[2]["sequencer"]["version"] <= before
    filling.unlink()
    processes = [start(address.rpartition(":")[2], "--restore") for address in addresses]
    thread.join(30)
    outputs = [process.communicate(timeout=10)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * num_ps, outputs
    expected_weights, _ = in_one_process(training)
    assert difference(results[0][0], expected_weights) <= 1e-12


def test_a_job_goes_on_with_ps_elsewhere_and_with_another_number_of_them(tmp_path):
    """The whole job is started again, its script runs from the beginning, and meets what is done."""
    results = []
    for num_ps, epochs, restore in ((2, 2, False), (2, 4, True), (3, 6, True)):
        saved = CheckpointOptions(tmp_path, every=5, restore=restore)
        servers = [Server("127.0.0.1:0", ServerOptions(checkpoints=saved)) for _ in range(num_ps)]
        resolver = worker_of(0, 1, tuple(f"127.0.0.1:{server.port}" for server in servers))
        strategy = ParameterServerStrategy(resolver)
        with strategy.scope():
            results.append(training(strategy, epochs=6, callbacks=[Stop(epochs)]))
        strategy.close()
        for server in servers:
            assert server.has_ended.wait(2.0)
            server.close()
    weights, history = results[2]
    expected_weights, expected_history = in_one_process(training)
    assert difference(weights, expected_weights) <= 1e-12
    np.testing.assert_allclose(history["loss"], expected_history["loss"], rtol=1e-9)


def test_the_newest_checkpoint_is_that_of_the_last_job(tmp_path):
    """A job that begins anew in the folder of an earlier one, which has made more of them."""
    for every, epochs in ((1, 3), (1000, 1)):
        server = Server("127.0.0.1:0", ServerOptions(checkpoints=CheckpointOptions(tmp_path, every=every)))
        strategy = ParameterServerStrategy(worker_of(0, 1, (f"127.0.0.1:{server.port}",)))
        with strategy.scope():
            weights, _ = training(strategy, epochs=epochs)
        strategy.close()
        assert server.has_ended.wait(2.0)
        server.close()
    _, files, manifest = latest_whole(tmp_path, "ps")
    assert manifest["sequencer"]["version"] == 5
    (values,) = [vectors["values"] for vectors in files.values()]
    assert values.tobytes() == np.concatenate([each.reshape(-1) for each in weights]).tobytes()


class Stop(distrib.callbacks.Callback):
    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch + 1 == self.epochs


def test_a_ps_that_was_restarted_without_its_values_is_noticed():
    server = Server("127.0.0.1:0")
    again = []

    class Restart(distrib.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2 and not again:
                server.close()
                again.append(Server(f"127.0.0.1:{server.port}"))

    strategy = ParameterServerStrategy(worker_of(0, 1, (f"127.0.0.1:{server.port}",)), ps_timeout_s=10.0)
    with strategy.scope(), pytest.raises(distrib.ProtocolError, match="has lost its values"):
        training(strategy, callbacks=[Restart()])
    strategy.close()
    assert again[0].has_ended.wait(2.0)
    again[0].close()


ARRAYS = {"values": np.arange(5.0), "velocity": np.ones((2, 3))}


class TestCheckpoint:
    def test_what_is_written_is_read(self, tmp_path):
        write_checkpoint(tmp_path / "ps-3", {"a.safetensors": ARRAYS}, {"version": 3})
        files, manifest = read_checkpoint(tmp_path / "ps-3")
        assert manifest == {"version": 3}
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(files["a.safetensors"][name], array)

    def test_a_changed_byte_is_found(self, tmp_path):
        folder = tmp_path / "ps-1"
        write_checkpoint(folder, {"a.safetensors": ARRAYS}, {"version": 1})
        draw = np.random.default_rng(0)
        for file in sorted(folder.iterdir()):
            whole = file.read_bytes()
            for _ in range(100):
                damaged = bytearray(whole)
                damaged[draw.integers(len(whole))] ^= 1 << draw.integers(8)
                file.write_bytes(damaged)
                with pytest.raises(distrib.StorageError):
                    read_checkpoint(folder)
            for end in (0, 1, len(whole) // 2, len(whole) - 1):
                file.write_bytes(whole[:end])
                if file.name != "manifest.json" or whole[:end].rstrip() != whole.rstrip():
                    with pytest.raises(distrib.StorageError):
                        read_checkpoint(folder)
            file.write_bytes(whole)
        read_checkpoint(folder)

    def test_the_newest_whole_one_is_taken(self, tmp_path):
        for number in (1, 2):
            write_checkpoint(tmp_path / f"ps-{number}", {"a.safetensors": ARRAYS}, {"version": number})
        (tmp_path / "ps-2" / "a.safetensors").write_bytes(b"")
        folder, _, manifest = latest_whole(tmp_path, "ps")
        assert (folder.name, manifest) == ("ps-1", {"version": 1})
        assert latest_whole(tmp_path, "other") is None

    def test_older_ones_go(self, tmp_path):
        for number in range(9, 13):
            write_checkpoint(tmp_path / f"ps-{number}", {"a.safetensors": ARRAYS}, {})
        assert [folder.name for folder in checkpoints(tmp_path, "ps")] == ["ps-11", "ps-12"]

    def test_where_it_cannot_be_written_nothing_is_left(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(distrib.StorageError, match="cannot be written"):
            write_checkpoint(tmp_path / "file" / "ps-1", {}, {})
        assert not [path for path in tmp_path.iterdir() if path.name != "file"]


def test_the_sequencer_goes_on_from_its_state():
    for seed in range(60):
        job = Job(seed, rules_of(seed), 40, 7)
        for _ in range(job.random.randrange(20, 120)):
            job.event(job.random.randrange(job.rules.num_workers), job.random.random())
        state = state_of(job.sequencer)
        job.sequencer = sequencer_from_state(state)
        job.state = ["off"] * job.rules.num_workers
        job.staged.clear()
        job.run()
        positions = sorted(at for span in job.applied for at in range(*span.range))
        assert positions == list(range(40)), seed


def test_what_a_worker_hands_in_to_an_epoch_that_is_over_is_dropped_after_a_restoration():
    epoch = {"kind": "train", "num_examples": 2, "batch_size": 1, "steps_per_epoch": 2, "num_sums": 4}
    sequencer = Sequencer(Rules("async", 2))
    for worker in (0, 1):
        sequencer.join(worker, 5)
        sequencer.register(worker, 1, 0, {}, PushId(0, 5, 0) if worker == 0 else None)
        sequencer.begin(worker, 2, 1, epoch)
    for sequence in (1, 2):  # worker 0 does its own part, and that of worker 1, which is late
        lease = [each.lease for each in sequencer.answers if each.worker == 0][-1]
        sums = np.array([1.0, 0, 1, 0])
        sequencer.push(PushRequest(PushId(0, 5, sequence), 2 + sequence, 1, lease.number, sequence - 1, sums))
    sequencer.begin(0, 5, 2, epoch)
    restored = sequencer_from_state(state_of(sequencer))
    restored.join(1, 5)
    restored.push(PushRequest(PushId(1, 5, 1), 3, 1, 1, 0, sums))
    answer = restored.answers[-1]
    assert (answer.worker, answer.outcome.decision, answer.outcome.why) == (1, "dropped", "the epoch is over")
    assert restored.counts.dropped == 1


def restored_after_a_loss(num_workers, **options):
    """A job of three workers, saved after 2 updates and lost after 6, and the leases that worker 2 has since then."""
    epoch = {"kind": "train", "num_examples": 20, "batch_size": 1, "steps_per_epoch": 20, "num_sums": 4}
    sequencer = Sequencer(Rules("async", num_workers, **options))
    for worker in range(num_workers):
        sequencer.join(worker, 5)
        sequencer.register(worker, 1, 0, {}, PushId(0, 5, 0) if worker == 0 else None)
        sequencer.begin(worker, 2, 1, epoch)
    held = {answer.worker: answer for answer in sequencer.answers if answer.lease is not None}

    def push(sequencer, worker, sequence, answer, version=None):
        sequencer.answers.clear()
        given = answer.version if version is None else version
        sequencer.push(
            PushRequest(
                PushId(worker, 5, sequence),
                9 + sequence,
                1,
                answer.lease.number,
                given,
                np.array([1.0, 0, 1, 0]),
            )
        )
        return next(each for each in sequencer.answers if each.worker == worker)

    for sequence in (1, 2):
        held[0] = push(sequencer, 0, sequence, held[0])
    saved = state_of(sequencer)
    for sequence in (3, 4, 5):
        held[0] = push(sequencer, 0, sequence, held[0])
    held[1] = push(sequencer, 1, 1, held[1])
    assert sequencer.version == 6
    sequencer.begin(1, 11, 1, epoch)  # as with prefetch, one more
    prefetch = [each for each in sequencer.answers if each.call == 11]
    restored = sequencer_from_state(saved)
    for worker in range(num_workers):
        restored.join(worker, 5)
    return restored, held, prefetch, push


def test_c6_what_was_computed_from_values_that_are_lost_is_dropped():
    restored, held, _, push = restored_after_a_loss(2)
    assert (restored.version, held[1].version) == (2, 6)
    answer = push(restored, 1, 2, held[1])
    assert (answer.outcome.decision, answer.outcome.why) == ("dropped", "computed from values that are lost")
    assert restored.version == answer.version == 2
    assert Discard(PushId(1, 5, 2)) in restored.log
    assert not [entry for entry in restored.log if isinstance(entry, Apply)]
    answer = push(restored, 1, 3, answer)
    assert (answer.outcome.decision, restored.version) == ("applied", 3)
    counts = restored.counts
    assert (counts.pushed, counts.applied, counts.dropped) == (4, 3, 1)


@pytest.mark.parametrize("before", [None, 4])
def test_c6_a_worker_that_came_after_the_last_checkpoint_goes_on(before):
    """Or that was started again since: all its pushes are lost, and the next one is not its first."""
    epoch = {"kind": "train", "num_examples": 20, "batch_size": 1, "steps_per_epoch": 20, "num_sums": 4}
    sequencer = Sequencer(Rules("async", 2))
    for worker, incarnation in ((0, 5), (1, before)) if before else ((0, 5),):
        sequencer.join(worker, incarnation)
        sequencer.register(worker, 1, 0, {}, PushId(0, 5, 0) if worker == 0 else None)
        sequencer.begin(worker, 2, 1, epoch)
    restored = sequencer_from_state(state_of(sequencer))
    restored.join(0, 5)
    restored.join(1, 5)
    restored.push(PushRequest(PushId(1, 5, 4), 9, 1, 3, 3, np.array([1.0, 0, 1, 0])))
    (answer,) = [each for each in restored.answers if each.worker == 1]
    assert (answer.outcome.decision, answer.outcome.why) == ("dropped", "computed from values that are lost")
    assert Discard(PushId(1, 5, 4)) in restored.log
    restored.push(
        PushRequest(PushId(1, 5, 5), 10, 1, answer.lease.number, answer.version, np.array([1.0, 0, 1, 0]))
    )
    assert restored.members[1].outcome.decision == "applied"
    with pytest.raises(RefusedError, match=r"Expected push 6 of worker 1\. Received: push 8\."):
        restored.push(PushRequest(PushId(1, 5, 8), 11, 1, 9, 0, np.array([1.0, 0, 1, 0])))


def test_c6_so_is_what_was_leased_before_when_there_are_as_many_updates_again():
    """The worker comes last, when the others have made new versions with the numbers of those that are lost."""
    restored, held, _, push = restored_after_a_loss(2)
    answer = push(restored, 0, 6, held[0])
    assert answer.outcome.why == "computed from values that are lost"
    for sequence in range(7, 13):
        answer = push(restored, 0, sequence, answer)
    assert restored.version == 8 > held[1].version
    answer = push(restored, 1, 2, held[1])
    assert (answer.outcome.decision, restored.version) == ("dropped", 8)


def test_c6_with_prefetch_a_worker_brings_two_gradients_of_values_that_are_lost():
    restored, held, prefetch, push = restored_after_a_loss(2, prefetch=True)
    assert [each.version for each in (held[1], *prefetch)] == [6, 6]
    fresh = push(restored, 1, 2, held[1])
    assert fresh.outcome.why == "computed from values that are lost"
    again = push(restored, 1, 3, prefetch[0])
    assert again.outcome.why == "computed from values that are lost"
    assert restored.version == 2
    assert push(restored, 1, 4, fresh).outcome.decision == "applied"
    assert restored.counts.pushed == restored.counts.applied + restored.counts.dropped == 5


def test_c6_a_lease_of_before_is_none_of_the_leases_after():
    """With prefetch the second gradient of before comes when its worker has a new lease."""
    restored, held, prefetch, push = restored_after_a_loss(2, prefetch=True)
    old = prefetch[0]
    answer = push(restored, 0, 6, held[0])
    for sequence in range(7, 7 + old.lease.number - 1):
        answer = push(restored, 0, sequence, answer)
    new = push(restored, 1, 2, held[1])
    before = restored.version
    assert before > old.version
    assert new.lease.span != old.lease.span
    dropped = push(restored, 1, 3, old)
    assert (dropped.outcome.decision, restored.version) == ("dropped", before)


VOTE = {"kind": "vote", "num_examples": 1, "batch_size": 1, "steps_per_epoch": 1, "num_sums": 1}


def voted(stops):
    """A job whose chief has said whether to stop, and whose worker 1 would have said something else."""
    sequencer = Sequencer(Rules("async", 2))
    for worker in (0, 1):
        sequencer.join(worker, 5)
        sequencer.register(worker, 1, 0, {}, PushId(0, 5, 0) if worker == 0 else None)
    sequencer.begin(1, 2, 1, VOTE | {"stops": not stops})
    assert words(sequencer, 2) == [], "answered before the chief spoke"
    sequencer.begin(0, 2, 1, VOTE | {"stops": stops})
    return sequencer


def words(sequencer, call):
    """Who was answered that call, and what."""
    found = [each for each in sequencer.answers if each.call == call]
    assert all((each.lease, each.refusal) == (None, "") for each in found)
    return sorted((each.worker, each.totals.tolist()) for each in found)


@pytest.mark.parametrize("stops", [False, True])
def test_the_chiefs_word_whether_to_stop_reaches_all(stops):
    assert words(voted(stops), 2) == [(0, [float(stops)]), (1, [float(stops)])]


@pytest.mark.parametrize("now", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_after_a_restoration_the_chief_may_say_another_word(before, now):
    """As when it was preempted, and goes on now."""
    restored = sequencer_from_state(state_of(voted(before)))
    for worker in (1, 0):
        restored.join(worker, 6)
        assert words(restored, 3) == []
        restored.begin(worker, 3, 1, VOTE | {"stops": now})
    assert words(restored, 3) == [(0, [float(now)]), (1, [float(now)])]


def test_a_chief_that_knows_its_word_goes_on_after_a_restoration():
    """The ps was lost right after the vote, and worker 1 had not heard of it."""
    restored = sequencer_from_state(state_of(voted(False)))
    for worker in (1, 0):
        restored.join(worker, 5)
    restored.begin(1, 3, 1, VOTE)
    assert words(restored, 3) == []
    epoch = {"kind": "train", "num_examples": 2, "batch_size": 1, "steps_per_epoch": 2, "num_sums": 4}
    restored.begin(0, 3, 2, epoch)
    assert [each.worker for each in restored.answers if each.lease is not None] == [0]
    assert [each.totals.tolist() for each in restored.answers if each.worker == 1] == [[0.0]]


@pytest.mark.timeout(120)
def test_pushes_with_faults_end_with_the_weights_of_a_replay(tmp_path):
    campaign = Campaign(tmp_path, num_pushes=400, num_workers=3, lost=0.1, duplicated=0.05, kills=2, seed=3)
    weights, replayed, faults = campaign.run()
    assert faults["kills"] == 2
    assert faults["lost"] > 20
    assert faults["duplicated"] > 5
    assert weights.tobytes() == replayed.tobytes()
    assert np.abs(weights).max() > 0
