"""Training around real servers: the contract, faults of links and workers, and what is refused."""

import re
import threading
import time

import numpy as np
import pytest
from helpers.ps import nothing_is_staged, on_workers, worker_of
from helpers.replicas import difference, in_one_process
from hypothesis import given, settings
from hypothesis import strategies as st

import distrib
from distrib.base.ranges import split
from distrib.ps.client.client import Client
from distrib.ps.policy.admission.rules import Rules
from distrib.ps.policy.identity import PushId
from distrib.ps.policy.order.push_assembly import PushAssembly
from distrib.ps.policy.order.shard import Shard
from distrib.ps.server.server import Server
from distrib.ps.server.server_options import ServerOptions
from distrib.ps.server.state_machine import StateMachine

rng = np.random.default_rng(4)
X, Y, WEIGHT = rng.normal(size=(45, 6)), rng.integers(0, 3, 45), rng.uniform(0.5, 2, 45)


def training(
    num_examples=45, batch_size=8, epochs=3, optimizer="adam", dropout=0.3, slow=None, dtype="float64"
):
    def body(strategy):
        model = distrib.Sequential(
            [
                distrib.layers.Dense(9, activation="tanh", kernel_regularizer="l2", input_shape=(6,)),
                distrib.layers.Dropout(dropout),
                distrib.layers.Dense(3, activation="softmax"),
            ],
            dtype=dtype,
            seed=11,
        )
        made = {
            "adam": lambda: distrib.optimizers.Adam(0.01),
            "sgd": lambda: distrib.optimizers.SGD(0.05, momentum=0.9),
            "still": lambda: distrib.optimizers.SGD(0.0),
        }[optimizer]()
        model.compile(made, "sparse_categorical_crossentropy", ["accuracy"])
        callbacks = [] if slow is None else [Slow(*slow, strategy.replica_id)]
        history = model.fit(
            X[:num_examples],
            Y[:num_examples],
            batch_size=batch_size,
            epochs=epochs,
            sample_weight=WEIGHT[:num_examples],
            validation_data=(X[:7], Y[:7]),
            callbacks=callbacks,
            verbose=0,
        )
        tested = model.evaluate(X, Y, batch_size=20, verbose=0)
        counters = getattr(strategy, "counters", None)
        return model.get_weights(), history.history, tested, counters

    return body


class Slow(distrib.callbacks.Callback):
    """Sleeps before every batch of one worker."""

    def __init__(self, victim, seconds, worker):
        super().__init__()
        self.seconds = seconds if worker == victim else 0.0

    def on_train_batch_begin(self, batch, logs=None):
        time.sleep(self.seconds)


@settings(max_examples=25, deadline=None)
@given(
    num_workers=st.integers(1, 4),
    num_ps=st.integers(1, 3),
    share_memory=st.booleans(),
    num_examples=st.integers(1, 45),
    batch_size=st.integers(1, 40),
    optimizer=st.sampled_from(["adam", "sgd"]),
    dropout=st.sampled_from([0.0, 0.4]),
)
def test_sync_is_the_single_process(num_workers, num_ps, share_memory, **kwargs):
    weights, history, tested, _ = in_one_process(training(**kwargs))
    results = on_workers(num_workers, training(**kwargs), num_ps, share_memory)
    for worker_weights, worker_history, worker_tested, _ in results:
        assert difference(worker_weights, weights) <= 1e-12
        for name, values in history.items():
            np.testing.assert_allclose(worker_history[name], values, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(worker_tested, tested, rtol=1e-9)
        assert worker_history == results[0][1], "logs differ between workers"


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("elsewhere", [(0,), (1,), (0, 2)])
@pytest.mark.parametrize(
    "options", [{}, {"mode": "async"}, {"mode": "async", "prefetch": True}], ids=["sync", "async", "ahead"]
)
def test_some_ps_are_on_the_host_of_the_workers_and_some_are_not(num_workers, elsewhere, options):
    """The first share memory with them, and gradients for the others travel: those and no more."""
    num_ps = 3 if 2 in elsewhere else 2

    def body(strategy):
        trained = training(dropout=0.0)(strategy)
        assert strategy.client.shares == [ps not in elsewhere for ps in range(num_ps)]
        return trained

    results = on_workers(num_workers, body, num_ps, True, elsewhere=elsewhere, **options)
    expected, *_ = in_one_process(training(dropout=0.0))
    size = sum(each.size for each in expected)
    parts = [part.size * 8 for part in split(size, num_ps)]
    counters = results[0][3]
    brought = 2 * sum(parts)  # the chief's values, when its model is made and when `fit` begins
    gradients = sum(parts[ps] for ps in elsewhere) * counters["pushed"]
    assert sum(each[3]["bytes_sent"] for each in results) == brought + gradients
    assert counters["pushed"] == counters["applied"] + counters["dropped"]
    assert counters["applied"] >= 3 * 6
    for weights, history, *_ in results:
        assert history == results[0][1]
        assert all(a.tobytes() == b.tobytes() for a, b in zip(weights, results[0][0], strict=True))
    if (num_workers == 1 and "prefetch" not in options) or not options:
        assert difference(results[0][0], expected) <= 1e-12


def test_where_the_process_of_a_worker_is_another_one_its_files_are_left_alone(monkeypatch, tmp_path):
    """On the host of the ps the number of the worker's process is that of a process with a file of the same size."""
    place, files = Client.place, []

    def elsewhere(self, size, dtype, parts=None):
        memory = place(self, size, dtype, parts)
        file = (tmp_path / "file").open("w+b")
        file.write(bytes(2 * size * dtype.itemsize))
        file.flush()
        files.append(file)
        self.memory.segment.address[1] = file.fileno()
        return memory

    def body(strategy):
        trained = training(dropout=0.0)(strategy)
        assert strategy.client.shares == [False, False]
        return trained

    monkeypatch.setattr(Client, "place", elsewhere)
    weights, *_ = on_workers(1, body, 2, True)[0]
    for file in files:
        file.seek(0)
        assert not any(file.read())
        file.close()
    assert files
    assert difference(weights, in_one_process(training(dropout=0.0))[0]) <= 1e-12


@pytest.mark.parametrize("share_memory", [False, True])
def test_sync_does_not_depend_on_timing(share_memory):
    usual = on_workers(3, training(), 2, share_memory)
    delayed = on_workers(3, training(slow=(1, 0.005)), 2, share_memory)
    for (weights, history, *_), (others, other_history, *_) in zip(usual, delayed, strict=True):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(weights, others, strict=True))
        assert history == other_history


@pytest.mark.parametrize("num_ps", [1, 3])
@pytest.mark.parametrize("share_memory", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"staleness": distrib.DropStale(1)},
        {"staleness": distrib.ScaleStale()},
        {"staleness": distrib.BoundStale(1)},
        {"warmup_steps": 4},
        {"learning_rate_factor": 0.5, "batch_size_factor": 0.5},
        {"prefetch": True},
        {"prefetch": True, "staleness": distrib.BoundStale(1), "warmup_steps": 4},
    ],
    ids=["plain", "drop", "scale", "bound", "warm-up", "lower rate, smaller batch", "ahead", "bound, ahead"],
)
def test_async_trains_and_counts_add_up(num_ps, share_memory, options):
    results = on_workers(4, training(), num_ps, share_memory, mode="async", **options)
    chief_weights, chief_history, _, counters = results[0]
    for weights, history, *_ in results:
        assert all(a.tobytes() == b.tobytes() for a, b in zip(weights, chief_weights, strict=True))
        assert history == chief_history
    assert counters["pushed"] == counters["applied"] + counters["dropped"]
    assert counters["applied"] == 3 * (12 if "batch_size_factor" in options else 6)
    assert counters["applied"] == sum(counters["staleness_histogram"].values())
    assert counters["updates"] == counters["applied"], "every push that counts is an update of its own"
    assert counters["effective_batch"] == pytest.approx(3 * 45 / counters["applied"])
    assert sum(each["pushed"] for each in counters["workers"].values()) == counters["pushed"]
    assert set(counters["seconds"]) == {"compute", "push", "pull", "barrier"}


@pytest.mark.parametrize(
    "options",
    [
        {"num_backup_workers": 1},
        {"mode": "async"},
        {"mode": "async", "staleness": distrib.DropStale(0)},
        {"mode": "async", "prefetch": True},
    ],
    ids=["backup", "async", "drop", "ahead"],
)
def test_metrics_are_summed_exactly_whoever_is_slow_and_whatever_is_dropped(options):
    """The values stay as they are, so the order of updates does not matter: every example counts once, as alone."""
    kwargs = {"optimizer": "still", "batch_size": 6, "epochs": 4}
    _, alone, tested_alone, _ = in_one_process(training(**kwargs))
    dropped = 0
    for _, history, tested, counters in on_workers(4, training(slow=(2, 0.02), **kwargs), **options):
        assert history.keys() == alone.keys()
        for name, values in alone.items():
            np.testing.assert_allclose(history[name], values, rtol=1e-12)
        np.testing.assert_allclose(tested, tested_alone, rtol=1e-12)
        dropped = counters["dropped"]
    assert dropped > 0, "everything came in time"


@pytest.mark.parametrize("share_memory", [False, True])
def test_prefetch_pushes_while_the_next_is_computed(monkeypatch, share_memory):
    """With one worker the staleness is 1 but for the first, and slow pushes cost nothing beside slow computing."""
    push, at_work = Client.push, threading.Semaphore(0)

    def slow(self, message, gradient, values):
        assert at_work.acquire(timeout=10) or gradient is None  # the next batch has begun before this arrives
        return push(self, message, gradient, values)

    class Begun(distrib.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch:
                at_work.release()

        def on_test_begin(self, logs=None):
            for _ in range(100):
                at_work.release()

    def body(strategy):
        model = distrib.Sequential([distrib.layers.Dense(3, input_shape=(6,))], dtype="float64", seed=1)
        model.compile("sgd", "mse")
        history = model.fit(
            X, np.zeros((45, 3)), batch_size=5, epochs=1, verbose=0, callbacks=[Begun(), Last(at_work)]
        )
        return history.counters, model.get_weights(), history.history["loss"]

    monkeypatch.setattr(Client, "push", slow)
    counters, weights, losses = on_workers(1, body, share_memory=share_memory, mode="async", prefetch=True)[0]
    assert counters["applied"] == 9
    assert counters["staleness_histogram"] == {"0": 1, "1": 8}
    assert all(np.isfinite(each).all() for each in weights)
    assert len(losses) == 1


class Last(distrib.callbacks.Callback):
    """Lets the last push go: nothing is computed after it."""

    def __init__(self, at_work):
        super().__init__()
        self.at_work = at_work

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 8:
            self.at_work.release()


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_every_layer_of_a_pulled_model_is_of_one_version(monkeypatch, mode):
    """Each of 3 ps marks what it keeps with its version; random delays between the ps."""
    delays, torn, pulls, apart = np.random.default_rng(2), [], [], []
    execute, apply, shards = StateMachine.execute, Shard.apply, {}

    def late(self, entry):
        time.sleep(delays.uniform(0, 0.002))
        execute(self, entry)
        shards[self] = self.shard
        apart.append(len({shard.version for shard in shards.values()}) > 1)

    def mark(self, entry):
        apply(self, entry)
        self.values[...] = entry.version

    monkeypatch.setattr(StateMachine, "execute", late)
    monkeypatch.setattr(Shard, "apply", mark)

    class Look(distrib.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            layers = {float(each) for weights in self.model.get_weights() for each in weights.flat}
            pulls.append(layers)
            if layers != {float(self.model.optimizer.iterations)}:
                torn.append(layers)

    def body(strategy):
        # 107 numbers, a third of them on each ps: their ranges end within layers.
        layers = [distrib.layers.Dense(7, input_shape=(6,)), distrib.layers.Dense(5), distrib.layers.Dense(3)]
        model = distrib.Sequential(layers, dtype="float64")
        model.compile("sgd", "mse")
        model.fit(X, np.zeros((45, 3)), batch_size=3, epochs=3, verbose=0, callbacks=[Look()])

    on_workers(4, body, 3, mode=mode)
    assert len(pulls) >= 45
    assert len({version for layers in pulls for version in layers}) >= 20
    assert sum(apart) > 20, "the ps were never of several versions: the delays did nothing"
    assert not torn


@pytest.mark.parametrize("num_ps", [1, 2])
def test_a_lost_answer_is_asked_for_again_and_applied_once(monkeypatch, num_ps):
    """The stream is cut right after the ps has applied a push, before the answer: C2, C3."""
    reference = in_one_process(training(dropout=0.0))
    exchange, cut = Client.exchange, []

    def cut_sometimes(self, request, sent, values):
        answer = exchange(self, request, sent, values)
        if (
            request.WhichOneof("what") == "push"
            and request.push.sequence % 5 == 3
            and request.push.sequence not in cut
        ):
            cut.append(request.push.sequence)
            self.disconnect()
            self.connect()
            return exchange(self, request, sent, values)
        return answer

    monkeypatch.setattr(Client, "exchange", cut_sometimes)
    results = on_workers(2, training(dropout=0.0), num_ps, look=nothing_is_staged)
    weights, _, _, counters = results[0]
    assert cut, "no answer was lost"
    assert difference(weights, reference[0]) <= 1e-12
    assert counters["applied"] == counters["pushed"]


def test_a_part_that_comes_after_its_worker_was_gone_is_forgotten_for_its_successor():
    arrivals, happened = PushAssembly(), []
    arrivals.num_ps = 2
    old, new = PushId(1, 5, 1), PushId(1, 6, 1)
    arrivals.forget(1)
    arrivals.arrived(old, 3, 1)
    assert arrivals.torn(1, 5) == []
    assert arrivals.torn(1, 6) == [old]
    assert arrivals.torn(1, 6) == []
    arrivals.expect(new, 3, lambda: happened.append(new))
    assert arrivals.arrived(new, 3, 0) is None
    arrivals.arrived(new, 3, 1)()
    assert happened == [new]


def test_a_worker_that_fails_does_not_lose_examples():
    class Fail(distrib.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 2:
                raise KeyboardInterrupt

    def body(strategy):
        model = distrib.Sequential([distrib.layers.Dense(3, input_shape=(6,))], dtype="float64", seed=1)
        model.compile("sgd", "mse")
        callbacks = [Fail()] if strategy.replica_id == 1 else []
        try:
            history = model.fit(X, np.zeros((45, 3)), batch_size=6, epochs=2, verbose=0, callbacks=callbacks)
        except KeyboardInterrupt:
            strategy.close()
            failed.append(strategy.replica_id)
            return None
        return history.history["loss"], model.get_weights()

    failed = []
    results = on_workers(3, body)
    assert failed == [1]
    losses, weights = in_one_process(body)
    for each in (results[0], results[2]):
        np.testing.assert_allclose(each[0], losses, rtol=1e-9)
        assert difference(each[1], weights) <= 1e-12


class TestRefusals:
    def test_a_worker_without_the_token(self):
        with pytest.raises(distrib.AuthenticationError, match="does not have the token"):
            on_workers(1, training(), token="secret")

    def test_a_worker_with_another_model(self):
        def body(strategy):
            units = 3 + strategy.replica_id
            model = distrib.Sequential([distrib.layers.Dense(units, input_shape=(6,))])
            model.compile("sgd", "mse")
            model.fit(X, np.zeros((45, units)), verbose=0)

        with pytest.raises(distrib.ProtocolError, match="not about to do what the chief does"):
            on_workers(2, body, ps_timeout_s=3.0)

    def test_nan_names_worker_and_variable(self):
        def body(strategy):
            model = distrib.Sequential([distrib.layers.Dense(3, input_shape=(6,), name="out")])
            model.compile("sgd", "mse")
            model.fit(X * np.nan, np.zeros((45, 3)), verbose=0)

        with pytest.raises(distrib.NonFiniteError, match="first in out/kernel on worker 0"):
            on_workers(1, body)

    def test_workers_do_not_meet(self):
        def body(strategy):
            for call in (lambda: strategy.reduce("SUM", 1.0), lambda: strategy.gather([1]), strategy.barrier):
                with pytest.raises(distrib.ConfigError, match="workers come and go, and do not meet"):
                    call()

        on_workers(2, body)

    def test_prefetch_is_for_async(self):
        with pytest.raises(distrib.ConfigError, match="prefetch is for mode='async'"):
            Rules("sync", 2, prefetch=True)

    def test_of_a_frozen_layer_that_differs_between_workers(self):
        def body(strategy):
            frozen = distrib.layers.Dense(4, input_shape=(6,), name="first")
            frozen.trainable = False
            model = distrib.Sequential([frozen, distrib.layers.Dense(3, activation="softmax")])
            model.compile("sgd", "sparse_categorical_crossentropy")
            model.build((None, 6))
            frozen.variables[0].assign_add(np.full((6, 4), float(strategy.replica_id)))
            model.fit(X, Y, verbose=0)

        with pytest.raises(distrib.ProtocolError, match="first/kernel"):
            on_workers(2, body)

    def test_train_on_batch(self):
        def body(strategy):
            model = distrib.Sequential([distrib.layers.Dense(3, input_shape=(6,))])
            model.compile("sgd", "mse")
            model.train_on_batch(X, np.zeros((45, 3)))

        with pytest.raises(distrib.ConfigError, match=r"Received: train_on_batch\. Use fit"):
            on_workers(1, body)

    def test_off_the_loopback_interface_it_must_be_said(self):
        with pytest.raises(distrib.ConfigError, match="--insecure"):
            Server("0.0.0.0:0")

    def test_a_port_in_use(self):
        server = Server("127.0.0.1:0")
        try:
            with pytest.raises(distrib.ConfigError, match="is the port in use"):
                Server(f"127.0.0.1:{server.port}")
        finally:
            server.close()

    def test_no_ps_there(self):
        def body():
            resolver = worker_of(0, 1, ("127.0.0.1:1",))
            strategy = distrib.ParameterServerStrategy(resolver, ps_timeout_s=1.0)
            try:
                with strategy.scope():
                    training()(strategy)
            finally:
                strategy.close()

        with pytest.raises(distrib.PeerLostError, match=r"waited 1 s for the ps at 127\.0\.0\.1:1"):
            body()

    def test_without_a_cluster_it_says_how_to_get_one(self):
        with pytest.raises(distrib.ConfigError, match="local_cluster"):
            distrib.ParameterServerStrategy()


def test_the_chief_prints_what_became_of_pushes(capsys):
    def body(strategy):
        model = distrib.Sequential([distrib.layers.Dense(3, input_shape=(6,))])
        model.compile("sgd", "mse")
        return model.fit(
            X, np.zeros((45, 3)), batch_size=5, verbose=2, callbacks=[Slow(1, 0.02, strategy.replica_id)]
        )

    history = on_workers(2, body)[0]
    printed = capsys.readouterr().out
    assert "pushed" in printed
    assert "worker 1" in printed
    assert "staleness of what was applied: 0: 18" in printed
    assert re.search(
        r" pushed +applied +dropped +scaled +staleness +batch +compute +push +pull +barrier", printed
    )
    assert history.counters["applied"] == 18
    assert history.counters["effective_batch"] == 5
    assert re.search(r"all +18 +18 +0 +0 +0\.0 +5\.0 ", printed)
    seconds = history.counters["seconds"]
    assert seconds["barrier"] > 0.1, "the slow worker was not waited for"
    chief, slow = (history.counters["workers"][worker]["seconds"] for worker in ("0", "1"))
    assert chief["barrier"] > 5 * slow["barrier"]
    assert slow["compute"] > 8 * 0.02
    assert re.search(r"worker 1 +9 +9 +0 +0 +0\.0 +[23]\.\d +\d+% +\d+% +\d+% +\d+%", printed)


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_skipped_steps_are_those_of_the_single_process(num_workers):
    x = X.copy()
    x[17] = np.nan

    def body(strategy):
        model = distrib.Sequential(
            [distrib.layers.Dense(3, activation="softmax", input_shape=(6,))], dtype="float64"
        )
        model.compile("adam", "sparse_categorical_crossentropy", on_nonfinite="skip")
        history = model.fit(x, Y, batch_size=8, epochs=2, verbose=0)
        return model.get_weights(), history.history["loss"], getattr(strategy, "counters", {})

    weights, losses, _ = in_one_process(body)
    for each, each_losses, counters in on_workers(num_workers, body):
        assert difference(each, weights) <= 1e-12
        np.testing.assert_allclose(each_losses, losses, rtol=1e-9)
        assert counters["dropped"] == 2 * num_workers
        assert counters["version"] == 2 * 5


def test_a_ps_does_not_outlive_its_chief():
    server = Server("127.0.0.1:0", ServerOptions(chief_timeout_s=0.5))
    strategy = distrib.ParameterServerStrategy(worker_of(0, 1, (f"127.0.0.1:{server.port}",)))
    with strategy.scope():
        training(epochs=1)(strategy)
    assert not server.has_ended.wait(0.7), "the chief is there"
    strategy.client.close()  # as by SIGKILL: it says nothing
    assert server.has_ended.wait(2.0)
    assert "the chief is lost" in server.reason
    strategy.close()
    server.close()


def test_a_chief_that_failed_is_no_good_end():
    server = Server("127.0.0.1:0")
    strategy = distrib.ParameterServerStrategy(worker_of(0, 1, (f"127.0.0.1:{server.port}",)))
    strategy.close("the chief failed: ValueError()")
    assert server.has_ended.wait(2.0)
    assert server.reason == "the chief failed: ValueError()"
    server.close()
