"""Training that was interrupted and goes on is training that was not (reliability rows B14, E15, E16)."""

import os
import signal

import numpy as np
import pytest
from helpers.ps import on_workers, worker_of
from helpers.replicas import KINDS, difference, in_one_process, on_replicas
from hypothesis import given, settings
from hypothesis import strategies as st

import distrib
from distrib import layers
from distrib.callbacks import BackupAndRestore, Callback
from distrib.io.checkpoint_folder import checkpoints, read_manifest
from distrib.ps.server.server import Server

EPOCHS, EXAMPLES, BATCH = 4, 45, 10
STEPS = EPOCHS * 5

rng = np.random.default_rng(8)
X, Y = rng.normal(size=(EXAMPLES, 6)), rng.integers(0, 3, EXAMPLES)


class InterruptedError_(Exception):
    pass


class Interrupt(Callback):
    """Ends training with an error at a step, as a kill would, or with what a callback asks for."""

    def __init__(self, at_step):
        super().__init__()
        self.at_step, self.step, self.seen = at_step, 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self.seen.append(batch)
        if self.step == self.at_step:
            raise InterruptedError_


def make(accumulation=None, frozen=False):
    model = distrib.Sequential(
        [
            layers.Dense(9, activation="tanh", kernel_regularizer="l2", input_shape=(6,)),
            layers.Dropout(0.3),
            layers.Dense(7, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ],
        dtype="float64",
        seed=3,
    )
    model.layers[2].trainable = not frozen
    optimizer = distrib.optimizers.Adam(0.01, gradient_accumulation_steps=accumulation)
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    return model


def training(folder=None, at_step=None, save_freq=1, steps_per_epoch=None, **options):
    """A run; with a folder, one that is saved there, and perhaps interrupted."""

    def body(strategy):
        model = make(**options)
        callbacks = []
        if folder is not None:
            callbacks = [BackupAndRestore(folder, save_freq=save_freq, delete_checkpoint=False)]
        interrupt = Interrupt(at_step)
        try:
            history = model.fit(
                X,
                Y,
                batch_size=BATCH,
                epochs=EPOCHS,
                steps_per_epoch=steps_per_epoch,
                validation_data=(X[:7], Y[:7]),
                verbose=0,
                callbacks=[*callbacks, interrupt],
            )
        except InterruptedError_:
            return None
        state = (
            model.files.contents()[0]
            if strategy.is_chief or not isinstance(strategy, distrib.ParameterServerStrategy)
            else {}
        )
        return model.get_weights(), history.history, state.get("optimizer.safetensors"), interrupt.seen

    return body


def same_bytes(one, other):
    assert [a.tobytes() for a in one[0]] == [b.tobytes() for b in other[0]]
    assert one[1] == other[1], "History differs"
    assert {k: v.tobytes() for k, v in one[2].items()} == {k: v.tobytes() for k, v in other[2].items()}


def near(one, other):
    assert difference(one[0], other[0]) <= 1e-12
    assert set(one[1]) == set(other[1])
    for name, values in other[1].items():
        np.testing.assert_allclose(one[1][name], values, rtol=1e-9, atol=1e-12)
    for name, slot in other[2].items():
        assert difference([one[2][name]], [slot]) <= 1e-11, name


@settings(max_examples=25, deadline=None)
@given(
    num_replicas=st.integers(1, 3),
    kind=st.sampled_from(list(KINDS)),
    at_steps=st.lists(st.integers(1, STEPS - 1), min_size=1, max_size=2),
    save_freq=st.sampled_from(["epoch", 1, 3]),
    steps_per_epoch=st.sampled_from([None, 4]),
    frozen=st.booleans(),
)
def test_interrupted_training_ends_with_the_same_bytes(
    tmp_path_factory, num_replicas, kind, at_steps, save_freq, steps_per_epoch, frozen
):
    folder = tmp_path_factory.mktemp("backup")
    options = {"steps_per_epoch": steps_per_epoch, "frozen": frozen}
    whole = on_replicas(num_replicas, training(**options), kind=kind)
    for at_step in at_steps:
        body = training(folder, at_step, save_freq, **options)
        on_replicas(num_replicas, body, kind=kind)
    resumed = on_replicas(num_replicas, training(folder, None, save_freq, **options), kind=kind)
    for one, other in zip(resumed, whole, strict=True):
        same_bytes(one, other)


def test_within_an_epoch_only_what_is_left_is_computed(tmp_path):
    assert in_one_process(training(tmp_path, 8)) is None
    *_, seen = in_one_process(training(tmp_path))
    assert seen == [2, 3, 4, *range(5), *range(5)], "step 8 was computed, but not saved"


@pytest.mark.parametrize("at_step", [3, 6, 9])
def test_gradients_that_wait_for_an_update_are_computed_again(tmp_path, at_step):
    whole = in_one_process(training(accumulation=3))
    assert in_one_process(training(tmp_path, at_step, accumulation=3)) is None
    same_bytes(in_one_process(training(tmp_path, accumulation=3)), whole)


STRATEGIES = {
    "default": lambda body: in_one_process(body),
    "mirrored 3": lambda body: on_replicas(3, body)[0],
    "mirrored 2, in buckets": lambda body: on_replicas(2, body, kind="overlapped ring")[0],
    "central 2": lambda body: on_replicas(2, body, kind="central")[0],
    "ps-sync, 2 workers, 2 ps": lambda body: on_workers(2, body, num_ps=2)[0],
    "ps-sync, 1 worker, 3 ps": lambda body: on_workers(1, body, num_ps=3)[0],
    "ps-sync, shared memory": lambda body: on_workers(2, body, num_ps=1, share_memory=True)[0],
}


@pytest.mark.parametrize("first", STRATEGIES)
@pytest.mark.parametrize("second", ["default", "mirrored 2, in buckets", "ps-sync, 2 workers, 2 ps"])
def test_any_strategy_goes_on_from_any_other(tmp_path, first, second):
    """Saved within an epoch by one, gone on from by another: the bounds of the contract."""
    whole = in_one_process(training())
    assert STRATEGIES[first](interrupted(tmp_path, 8)) is None
    manifest = read_manifest(checkpoints(tmp_path, "backup")[-1])
    assert (manifest["step"], manifest["progress"]["epoch"]) == (7, 1)
    assert manifest["progress"]["undone"] == [[1, 20, 45]]
    near(STRATEGIES[second](training(tmp_path)), whole)


def interrupted(folder, at_step):
    """The chief ends at a step; what then becomes of the others is not looked at here."""
    body = training(folder, at_step)

    def chief_only(strategy):
        try:
            return body(strategy)
        finally:
            if isinstance(strategy, distrib.ParameterServerStrategy):
                strategy.close("interrupted")

    return chief_only


@pytest.mark.parametrize("how", ["load_model", "manager"])
@pytest.mark.parametrize("second", ["mirrored 2, in buckets", "central 2", "ps-sync, 2 workers, 2 ps"])
def test_a_loaded_model_goes_on_under_any_strategy(tmp_path, how, second):
    def fit(model, first, last):
        model.fit(X, Y, batch_size=BATCH, initial_epoch=first, epochs=last, verbose=0)
        return model

    def save(strategy):
        model = fit(make(), 0, 2)
        if how == "load_model":
            model.save(tmp_path / "ckpt-1")
        else:
            distrib.train.CheckpointManager(model, tmp_path).save()

    def go_on(strategy):
        if how == "load_model":
            return fit(distrib.load_model(tmp_path / "ckpt-1"), 2, 4).get_weights()
        model = make()
        assert distrib.train.CheckpointManager(model, tmp_path).restore_or_initialize()
        return fit(model, 2, 4).get_weights()

    whole = in_one_process(lambda strategy: fit(make(), 0, 4).get_weights())
    on_replicas(3, save)
    assert difference(STRATEGIES[second](go_on), whole) <= 1e-12


def test_three_strategies_one_after_the_other(tmp_path):
    whole = in_one_process(training())
    for first, at_step in (("mirrored 3", 4), ("ps-sync, 2 workers, 2 ps", 7), ("mirrored 2, in buckets", 2)):
        assert STRATEGIES[first](interrupted(tmp_path, at_step)) is None
    near(in_one_process(training(tmp_path)), whole)


def test_async_checkpoints_hold_every_example_once(tmp_path):
    """What is done and what is left are one epoch, whatever the workers were doing."""

    class Check(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.strategy.is_chief:
                progress = self.model.files.contents()[1]["progress"]
                left = sum(end - begin for _, begin, end in progress["undone"])
                done = progress["sums"][0]
                found.append((left + done, done))

    found = []

    def body(strategy):
        model = make()
        model.fit(X, Y, batch_size=5, epochs=3, verbose=0, callbacks=[Check()])

    on_workers(3, body, num_ps=2, mode="async")
    assert found
    assert {whole for whole, _ in found} == {EXAMPLES}


class Send(Callback):
    """Sends this process a signal at a step."""

    def __init__(self, number, at_step):
        super().__init__()
        self.number, self.at_step, self.step = number, at_step, 0

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        if self.step == self.at_step:
            os.kill(os.getpid(), self.number)


class TestSignals:
    def fit(self, folder, *callbacks, **options):
        model = make()
        backup = BackupAndRestore(folder, delete_checkpoint=False, **options)
        history = model.fit(
            X,
            Y,
            batch_size=BATCH,
            epochs=EPOCHS,
            verbose=0,
            validation_data=(X[:7], Y[:7]),
            callbacks=[backup, *callbacks],
        )
        return model.get_weights(), history.history, model.files.contents()[0]["optimizer.safetensors"]

    def test_sigterm_saves_and_ends_with_75(self, tmp_path):
        whole = in_one_process(training())
        handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)
        with pytest.raises(SystemExit) as ended:
            self.fit(tmp_path, Send(signal.SIGTERM, 7))
        assert ended.value.code == 75
        assert read_manifest(checkpoints(tmp_path, "backup")[-1])["step"] == 8
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)) == handlers
        same_bytes(self.fit(tmp_path), whole)

    def test_sigusr1_saves_and_goes_on(self, tmp_path):
        steps = []

        class Steps(Callback):
            def on_train_batch_end(self, batch, logs=None):
                folders = checkpoints(tmp_path, "backup")
                steps.append(read_manifest(folders[-1])["step"] if folders else 0)

        whole = in_one_process(training())
        same_bytes(self.fit(tmp_path, Send(signal.SIGUSR1, 2), Steps(), save_freq=100), whole)
        assert steps == [0, 0, 0] + [3] * (STEPS - 3), "saved once, at the end of the third step"

    def test_a_signal_after_the_last_step_is_not_lost(self, tmp_path):
        got = []
        before = signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
        try:
            self.fit(tmp_path, Send(signal.SIGTERM, STEPS))
        finally:
            signal.signal(signal.SIGTERM, before)
        assert got == [signal.SIGTERM]

    @pytest.mark.parametrize("kind", ["ring", "central"])
    def test_a_request_of_one_replica_is_all_replicas_at_the_same_step(self, tmp_path, kind):
        """Threads have no signals of their own: one replica asks as its handler would."""

        class Ask(Callback):
            def __init__(self, backup):
                super().__init__()
                self.backup = backup

            def on_epoch_begin(self, epoch, logs=None):
                if epoch == 1 and self.model.strategy.replica_id == 1:
                    self.backup.save_and_exit(signal.SIGTERM, None)

        def body(strategy):
            backup = BackupAndRestore(tmp_path)
            with pytest.raises(SystemExit) as ended:
                make().fit(X, Y, batch_size=BATCH, epochs=4, verbose=0, callbacks=[backup, Ask(backup)])
            return ended.value.code

        assert on_replicas(3, body, kind=kind) == [75] * 3
        assert read_manifest(checkpoints(tmp_path, "backup")[-1])["step"] == 6


def test_what_callbacks_remember_is_kept(tmp_path):
    class Count(Callback):
        number = 0

        def on_epoch_end(self, epoch, logs=None):
            self.number += 1
            if self.number == 3:
                self.model.stop_training = True

        def get_state(self):
            return {"number": self.number}

        def set_state(self, state):
            self.number = state["number"]

    def fit(*more):
        model = make()
        backup = BackupAndRestore(tmp_path, delete_checkpoint=False)
        return model.fit(X, Y, batch_size=BATCH, epochs=9, verbose=0, callbacks=[backup, Count(), *more])

    with pytest.raises(InterruptedError_):
        fit(Interrupt(12))
    assert len(fit().history["loss"]) == 3
    assert len(fit().history["loss"]) == 3, "it had stopped, and stays so"


@pytest.mark.parametrize("at_step", [7, 12, 15])
def test_early_stopping_goes_on_counting(tmp_path, at_step):
    def fit(*more):
        patient = distrib.callbacks.EarlyStopping("loss", min_delta=100.0, patience=3)
        options = {"batch_size": BATCH, "epochs": 9, "verbose": 0}
        return make().fit(X, Y, **options, callbacks=[patient, *more]).history["loss"]

    whole = fit()
    assert len(whole) == 4
    with pytest.raises(InterruptedError_):
        fit(BackupAndRestore(tmp_path, save_freq=2), Interrupt(at_step))
    assert fit(BackupAndRestore(tmp_path, save_freq=2)) == whole


def test_backups_go_when_training_has_ended(tmp_path):
    make().fit(X, Y, epochs=2, verbose=0, callbacks=[BackupAndRestore(tmp_path)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("double", [False, True])
def test_how_many_backups_are_kept(tmp_path, double):
    backup = BackupAndRestore(tmp_path, double_checkpoint=double, delete_checkpoint=False)
    make().fit(X, Y, epochs=4, verbose=0, callbacks=[backup])
    assert len(checkpoints(tmp_path, "backup")) == 1 + double


def test_other_examples_within_an_epoch_are_refused(tmp_path):
    assert in_one_process(training(tmp_path, 8)) is None
    backup = BackupAndRestore(tmp_path)
    with pytest.raises(distrib.StorageError, match=r"'examples': 45.*'examples': 44"):
        make().fit(X[1:], Y[1:], batch_size=BATCH, epochs=4, verbose=0, callbacks=[backup])


@pytest.mark.parametrize("how", ["backup", "model", "weights", "manager"])
def test_where_the_chief_cannot_write_all_replicas_know(tmp_path, how):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "folder"

    class Manager(Callback):
        def on_epoch_end(self, epoch, logs=None):
            distrib.train.CheckpointManager(self.model, folder).save()

    callbacks = {
        "backup": lambda: BackupAndRestore(folder),
        "model": lambda: distrib.callbacks.ModelCheckpoint(folder),
        "weights": lambda: distrib.callbacks.ModelCheckpoint(
            folder / "a.weights.safetensors", save_weights_only=True
        ),
        "manager": Manager,
    }

    def body(strategy):
        model = make()
        with pytest.raises(distrib.StorageError, match="cannot be written") as raised:
            model.fit(X, Y, epochs=2, verbose=0, callbacks=[callbacks[how]()])
        model.fit(X, Y, verbose=0)  # they are still together
        return str(raised.value), values_of(model)

    first, *others = on_replicas(3, body)
    assert others == [first] * 2


def values_of(model):
    return [weight.tobytes() for weight in model.get_weights()]


def test_a_backup_can_be_used_for_one_fit_after_the_other(tmp_path):
    model, backup = make(), BackupAndRestore(tmp_path, save_freq=100)
    for _ in range(2):
        with pytest.raises(SystemExit):
            model.fit(X, Y, epochs=9, verbose=0, callbacks=[backup, Send(signal.SIGTERM, 1)])
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[backup])
    assert len(history.history["loss"]) == 3
    assert len(model.fit(X, Y, epochs=2, verbose=0).history["loss"]) == 2


def test_saving_on_some_replicas_only_is_an_error(tmp_path):
    class Alone(Callback):
        def on_epoch_end(self, epoch, logs=None):
            if self.model.strategy.is_chief:
                self.model.save(tmp_path / "model")

    def body(strategy):
        make().fit(X, Y, epochs=2, verbose=0, callbacks=[Alone()])

    with pytest.raises(distrib.ProtocolError):
        on_replicas(2, body)
    assert not (tmp_path / "model").exists()


def test_a_chief_that_comes_back_meets_what_the_ps_have_done(tmp_path):
    """They know more than the backup: every example counts once, as if the chief had not been away."""
    whole = in_one_process(training())
    servers = [Server("127.0.0.1:0") for _ in range(2)]
    resolver = worker_of(0, 1, [f"127.0.0.1:{server.port}" for server in servers])
    results = []
    for at_step in (8, None):
        strategy = distrib.ParameterServerStrategy(resolver)
        with strategy.scope():
            results.append(training(tmp_path, at_step, save_freq=3)(strategy))
        if at_step:
            client, strategy.client = strategy.client, None
            client.close()  # as a kill would: the ps are not told to stop
            strategy.close()
    strategy.close()
    for server in servers:
        assert server.has_ended.wait(2.0)
        server.close()
    assert results[0] is None
    assert len(results[1][3]) == STEPS - 8, "what was applied was computed again"
    near(results[1], whole)
