"""The evaluator: every checkpoint once, the best one kept, its end, and how it ends the training."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.events import scalars
from helpers.mpi import ROOT

import distrib
from distrib.io import checkpoint_folder
from distrib.io.checkpoint_folder import read_manifest
from distrib.train import CheckpointManager
from distrib.training.checkpoints.evaluator_mailbox import EvaluatorMailbox

rng = np.random.default_rng(3)
X, Y = rng.normal(size=(60, 6)), rng.integers(0, 3, 60)
TEST_X, TEST_Y = rng.normal(size=(25, 6)), rng.integers(0, 3, 25)


def made(units=5):
    model = distrib.Sequential(
        [
            distrib.layers.Dense(units, activation="relu", input_shape=(6,)),
            distrib.layers.Dense(3, activation="softmax"),
        ],
        dtype="float64",
        seed=2,
    )
    model.compile(distrib.optimizers.Adam(0.05), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def trained(folder, epochs=6, **arguments):
    callbacks = [distrib.callbacks.ModelCheckpoint(folder / "ckpt-{epoch}"), *arguments.pop("callbacks", [])]
    return made().fit(X, Y, batch_size=12, epochs=epochs, verbose=0, callbacks=callbacks, **arguments)


@pytest.fixture
def evaluator_task(monkeypatch):
    cluster = {"chief": ["localhost:0"], "evaluator": ["localhost:0"]}
    config = {"cluster": cluster, "task": {"type": "evaluator", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))


def test_every_checkpoint_is_evaluated_as_the_training_would_and_the_best_is_kept(tmp_path, capsys):
    history = trained(tmp_path, validation_data=(TEST_X, TEST_Y)).history
    seen = []

    class Look(distrib.callbacks.Callback):
        def on_test_end(self, logs=None):
            seen.append((self.model.optimizer.iterations, logs["loss"], logs["accuracy"]))

    evaluator = distrib.SidecarEvaluator(
        made(), (TEST_X, TEST_Y), tmp_path, callbacks=[Look()], max_evaluations=6, batch_size=12
    )
    results = evaluator.start()
    assert [each[0] for each in seen] == [5, 10, 15, 20, 25, 30]
    assert [each[1] for each in seen] == history["val_loss"]
    assert [each[2] for each in seen] == history["val_accuracy"]
    assert results == {"loss": history["val_loss"][-1], "accuracy": history["val_accuracy"][-1]}
    best = int(np.argmin(history["val_loss"])) + 1
    assert distrib.load_model(tmp_path / "best").optimizer.iterations == 5 * best
    assert f"ckpt-{best}: val_" in capsys.readouterr().out


def test_only_the_newest_if_that_is_wanted(tmp_path):
    trained(tmp_path, epochs=3)
    evaluator = distrib.SidecarEvaluator(made(), (TEST_X, TEST_Y), tmp_path, every=False, max_evaluations=1)
    evaluator.start()
    assert json.loads((tmp_path / "evaluator.json").read_text())["done"] == 3


def test_it_waits_no_longer_than_it_was_told(tmp_path):
    evaluator = distrib.SidecarEvaluator(made(), (TEST_X, TEST_Y), tmp_path / "none", timeout=0.3)
    with pytest.raises(distrib.PeerLostError, match=r"waited 0\.3 s for a checkpoint"):
        evaluator.start()


def test_a_damaged_checkpoint_is_passed_over_by_name(tmp_path, caplog):
    trained(tmp_path, epochs=3)
    file = tmp_path / "ckpt-2" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    evaluator = distrib.SidecarEvaluator(made(), (TEST_X, TEST_Y), tmp_path, max_evaluations=2)
    evaluator.start()
    assert "ckpt-2" in caplog.text
    assert json.loads((tmp_path / "evaluator.json").read_text())["done"] == 3


def test_a_checkpoint_of_another_model_is_an_error(tmp_path):
    trained(tmp_path, epochs=1)
    evaluator = distrib.SidecarEvaluator(made(units=4), (TEST_X, TEST_Y), tmp_path, max_evaluations=1)
    with pytest.raises(distrib.StorageError, match="of another model"):
        evaluator.start()


def test_what_an_earlier_run_has_left_does_not_count(tmp_path, monkeypatch):
    monkeypatch.setenv("DISTRIB_RUN_ID", "old")
    trained(tmp_path, epochs=4)
    EvaluatorMailbox(tmp_path).finish()
    monkeypatch.setenv("DISTRIB_RUN_ID", "new")
    assert not EvaluatorMailbox(tmp_path).is_finished
    trained(tmp_path, epochs=2)  # replaces two of the four
    EvaluatorMailbox(tmp_path).finish()
    seen = []

    class Look(distrib.callbacks.Callback):
        def on_test_end(self, logs=None):
            seen.append(self.model.optimizer.iterations)

    distrib.SidecarEvaluator(made(), (TEST_X, TEST_Y), tmp_path, callbacks=[Look()]).start()
    assert seen == [5, 10]
    # Started again, it has nothing to do, and has not forgotten.
    distrib.SidecarEvaluator(made(), (TEST_X, TEST_Y), tmp_path, callbacks=[Look()]).start()
    assert seen == [5, 10]


class Steps(distrib.callbacks.Callback):
    """The steps of the optimizer at each evaluation, and when they were so many."""

    def __init__(self, expected=0):
        super().__init__()
        self.seen, self.expected, self.reached = [], expected, threading.Event()

    def on_test_end(self, logs=None):
        self.seen.append(self.model.optimizer.iterations)
        if len(self.seen) == self.expected:
            self.reached.set()


@pytest.mark.parametrize("named", [True, False])
def test_an_evaluator_that_was_there_first_sees_the_run_that_is_repeated(tmp_path, monkeypatch, named):
    """The new run replaces what an old one has left, number by number; the old one was longer, and better."""
    if named:
        monkeypatch.setenv("DISTRIB_RUN_ID", "old")
    trained(tmp_path, epochs=5)
    EvaluatorMailbox(tmp_path).finish()
    if named:
        monkeypatch.setenv("DISTRIB_RUN_ID", "new")
    looked = Steps(expected=5)
    evaluator = distrib.SidecarEvaluator(made(), (TEST_X, TEST_Y), tmp_path, callbacks=[looked], timeout=20)
    thread = threading.Thread(target=evaluator.start)
    thread.start()
    if named:
        time.sleep(0.5)  # it walks over what is there, and finds nothing of its own
        assert looked.seen == []
    else:
        assert looked.reached.wait(20)  # it may be all there will ever be
    before = len(looked.seen)
    mailbox = EvaluatorMailbox(tmp_path)
    mailbox.begin()
    saving = distrib.callbacks.ModelCheckpoint(tmp_path / "ckpt-{epoch}")
    made().fit(X, Y, batch_size=30, epochs=3, verbose=0, callbacks=[saving])
    mailbox.finish()
    thread.join(20)
    assert not thread.is_alive()
    assert looked.seen[before:] == [2, 4, 6]
    assert distrib.load_model(tmp_path / "best").optimizer.iterations in (2, 4, 6)
    assert json.loads((tmp_path / "evaluator.json").read_text())["done"] == 3


def test_it_ends_the_training_that_does_not_get_better(tmp_path):
    stopper = distrib.callbacks.EarlyStopping("val_accuracy", patience=2, min_delta=1.0)
    evaluator = distrib.SidecarEvaluator(made(), (TEST_X, TEST_Y), tmp_path, callbacks=[stopper], timeout=20)
    thread = threading.Thread(target=evaluator.start, daemon=True)

    class Slow(distrib.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            time.sleep(0.05)

    thread.start()
    history = trained(tmp_path, epochs=400, callbacks=[Slow()])
    EvaluatorMailbox(tmp_path).write("finished")
    thread.join(20)
    assert not thread.is_alive()
    assert 3 <= len(history.epoch) < 100


def test_fit_in_the_evaluator_ends_the_process(tmp_path, evaluator_task, monkeypatch):
    monkeypatch.setenv("DISTRIB_RUN_ID", "this")
    task = os.environ["TF_CONFIG"]
    monkeypatch.delenv("TF_CONFIG")
    trained(tmp_path, epochs=3)
    EvaluatorMailbox(tmp_path).finish()
    monkeypatch.setenv("TF_CONFIG", task)
    with pytest.raises(SystemExit) as end:
        trained(tmp_path, epochs=3, validation_data=(TEST_X, TEST_Y))
    assert end.value.code == 0
    assert json.loads((tmp_path / "evaluator.json").read_text())["done"] == 3


@pytest.mark.parametrize("lacks", ["no validation data", "no such ModelCheckpoint"])
def test_an_evaluator_without_work_says_so(tmp_path, evaluator_task, lacks):
    callbacks = [] if "Model" in lacks else [distrib.callbacks.ModelCheckpoint(tmp_path / "ckpt-{epoch}")]
    validation = (TEST_X, TEST_Y) if "Model" in lacks else None
    with pytest.raises(distrib.ConfigError, match=lacks):
        made().fit(X, Y, callbacks=callbacks, validation_data=validation)


def test_training_leaves_the_validation_to_the_evaluator(tmp_path, monkeypatch):
    cluster = {"chief": ["localhost:0"], "evaluator": ["localhost:0"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "chief", "index": 0}}))
    history = distrib.train_and_evaluate(
        made(), (X, Y), (TEST_X, TEST_Y), tmp_path, epochs=2, batch_size=12, verbose=0
    )
    assert set(history.history) == {"loss", "accuracy"}
    assert [path.name for path in sorted(tmp_path.glob("ckpt-*"))] == ["ckpt-1", "ckpt-2"]


def test_what_watches_the_training_stays_with_it(tmp_path, monkeypatch):
    cluster = {"chief": ["localhost:0"], "evaluator": ["localhost:0"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "chief", "index": 0}}))
    stoppers = [
        distrib.callbacks.EarlyStopping("loss", min_delta=100.0),
        distrib.callbacks.EarlyStopping("val_loss"),
    ]
    history = trained(tmp_path, epochs=9, callbacks=stoppers, validation_data=(TEST_X, TEST_Y))
    assert history.epoch == [0, 1]


def test_a_checkpoint_that_would_never_be_saved_is_refused_by_chief_and_evaluator(tmp_path, monkeypatch):
    cluster = {"chief": ["localhost:0"], "evaluator": ["localhost:0"]}
    for task in ("chief", "evaluator"):
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": task, "index": 0}}))
        for best in (
            distrib.callbacks.ModelCheckpoint(tmp_path / "top", save_best_only=True),
            distrib.callbacks.ModelCheckpoint(tmp_path / "{val_loss:.2f}"),
        ):
            with pytest.raises(
                distrib.ConfigError, match=f"never save.*keeps the best one in {tmp_path}/best"
            ):
                trained(tmp_path, callbacks=[best], validation_data=(TEST_X, TEST_Y))
    monkeypatch.delenv("TF_CONFIG")
    trained(tmp_path, epochs=1, callbacks=[best], validation_data=(TEST_X, TEST_Y))


def test_what_has_no_effect_beside_an_evaluator_is_named(tmp_path, monkeypatch, caplog):
    cluster = {"chief": ["localhost:0"], "evaluator": ["localhost:0"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "chief", "index": 0}}))
    watching = [
        distrib.callbacks.EarlyStopping("val_loss", restore_best_weights=True),
        distrib.callbacks.ReduceLROnPlateau("val_accuracy", patience=1),
        distrib.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100.0),
    ]
    trained(tmp_path, epochs=3, callbacks=watching, validation_data=(TEST_X, TEST_Y))
    assert [record.getMessage().split("(")[0] for record in caplog.records] == [
        "EarlyStopping",
        "ReduceLROnPlateau",
    ]
    assert f"The best ones are in {tmp_path}/best" in caplog.text
    assert "Monitor 'accuracy'" in caplog.text


def test_a_slow_evaluator_misses_nothing_that_a_manager_would_remove(tmp_path):
    class Slow(Steps):
        def on_test_end(self, logs=None):
            super().on_test_end(logs)
            assert may_go_on.wait(20)

    model, may_go_on, slow = made(), threading.Event(), Slow(expected=1)
    manager = CheckpointManager(model, tmp_path, max_to_keep=1)
    thread = threading.Thread(
        target=distrib.SidecarEvaluator(
            made(), (TEST_X, TEST_Y), tmp_path, callbacks=[slow], timeout=20
        ).start
    )
    thread.start()
    manager.save()
    assert slow.reached.wait(20)
    for steps in (1, 2, 3, 4):
        model.optimizer.iterations = steps
        manager.save(is_final=steps == 4)
    assert len(manager.checkpoints) == 5, "it has not evaluated any of them"
    may_go_on.set()
    thread.join(20)
    assert slow.seen == [0, 1, 2, 3, 4]
    manager.save()
    assert len(manager.checkpoints) == 1, "there is no evaluator any more"


def test_a_manager_waits_for_the_evaluator_of_its_cluster_to_begin(tmp_path, monkeypatch):
    cluster = {"chief": ["localhost:0"], "evaluator": ["localhost:0"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "chief", "index": 0}}))
    manager = CheckpointManager(made(), tmp_path, max_to_keep=1)
    for _ in range(3):
        manager.save()
    assert len(manager.checkpoints) == 3
    monkeypatch.setattr(manager, "_evaluator_begins_until", time.monotonic())
    manager.save()
    assert len(manager.checkpoints) == 1, "it has not come"


def test_train_and_evaluate_alone(tmp_path):
    weight = np.ones(len(X))
    history = distrib.train_and_evaluate(
        made(), (X, Y, weight), (TEST_X, TEST_Y), tmp_path, epochs=2, batch_size=12, verbose=0
    )
    expected = made().fit(
        X, Y, batch_size=12, epochs=2, verbose=0, validation_data=(TEST_X, TEST_Y), sample_weight=weight
    )
    assert history.history == expected.history


@pytest.mark.timeout(90)
def test_all_roles_of_the_local_cluster_and_once_more(tmp_path):
    """The command of the README, twice in one folder, with an evaluator that must not miss a checkpoint."""
    old = set()
    for number, epochs in enumerate((8, 4)):
        begin = time.monotonic()
        command = [
            *(sys.executable, "-m", "distrib", "launch", "cluster_configs/local_all_roles.toml"),
            *("--log-dir", tmp_path / f"logs-{number}", "examples/train_images.py", "--epochs", epochs),
            *("--checkpoint-dir", tmp_path / "run", "--tensorboard", tmp_path / "board"),
            *("--dtype", "float64", "--json", tmp_path / "out.json"),
        ]
        ended = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=80)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert time.monotonic() - begin < 40
        result = json.loads((tmp_path / "out.json").read_text())
        log = next(Path(tmp_path / f"logs-{number}").rglob("evaluator-0.log")).read_text()
        evaluated = re.findall(r"^(ckpt-\d+): val_", log, re.MULTILINE)
        assert evaluated == [f"ckpt-{each}" for each in range(1, epochs + 1)]
        assert f"val_loss: {result['test_loss']:.4f}" in log
        best = read_manifest(tmp_path / "run" / "best")
        assert best["run"] == read_manifest(tmp_path / "run" / f"ckpt-{epochs}")["run"]
        board = tmp_path / "board" / "validation"
        files = [path for path in board.iterdir() if path.name not in old]
        assert len(files) == 1, "one for all evaluations"
        assert files[0].name.endswith("evaluator-0")
        written = scalars(files[0])
        losses = written["epoch_loss"]
        assert [epoch for epoch, _ in losses] == list(range(epochs))
        assert losses[-1][1] == np.float32(result["test_loss"])
        assert [value for _, value in written["evaluation_loss_vs_iterations"]] == [
            each[1] for each in losses
        ]
        assert set(written) == {
            *("epoch_loss", "epoch_accuracy"),
            *("evaluation_loss_vs_iterations", "evaluation_accuracy_vs_iterations"),
        }
        old = {files[0].name}


def test_e11_only_whole_checkpoints_by_number_and_each_once(tmp_path):
    """An empty directory, temporary files, times that run backwards, and a number that is written again."""
    seen = []

    class Look(distrib.callbacks.Callback):
        def on_test_end(self, logs=None):
            seen.append(self.model.optimizer.iterations)

    evaluator = distrib.SidecarEvaluator(
        made(), (TEST_X, TEST_Y), tmp_path / "run", callbacks=[Look()], timeout=3.0, batch_size=12
    )
    (tmp_path / "run" / ".writing-1-ckpt-9").mkdir(parents=True)
    (tmp_path / "run" / "ckpt-7").mkdir()  # not a whole one

    def evaluate():
        with pytest.raises(distrib.PeerLostError):
            evaluator.start()

    thread = threading.Thread(target=evaluate)
    thread.start()
    time.sleep(0.3)
    assert seen == [], "there is nothing yet"
    trained(tmp_path / "elsewhere", epochs=3)
    for age, number in enumerate((1, 2, 3)):
        folder = tmp_path / "elsewhere" / f"ckpt-{number}"
        os.utime(folder, (1e9 - age, 1e9 - age))  # the newest is the oldest by its time
        folder.rename(tmp_path / "run" / folder.name)
    deadline = time.monotonic() + 10
    while len(seen) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    trained(
        tmp_path / "run", epochs=2
    )  # a restart from the beginning: steps go backwards, numbers come again
    thread.join(20)
    assert not thread.is_alive()
    assert seen == [5, 10, 15]


def test_e10_a_checkpoint_that_is_removed_while_it_is_read(tmp_path, monkeypatch, caplog):
    trained(tmp_path, epochs=3)
    read, removed = checkpoint_folder.read_file, []

    def removing(path, *arguments):
        if path == tmp_path / "ckpt-2" / "optimizer.safetensors":
            shutil.rmtree(path.parent)
            removed.append(path.parent.name)
        return read(path, *arguments)

    monkeypatch.setattr(checkpoint_folder, "read_file", removing)
    looked = Steps()
    distrib.SidecarEvaluator(
        made(), (TEST_X, TEST_Y), tmp_path, max_evaluations=2, callbacks=[looked], timeout=10
    ).start()
    assert removed == ["ckpt-2"]
    assert looked.seen == [5, 15]
    assert [record.getMessage() for record in caplog.records if "ckpt-2" in record.getMessage()]
