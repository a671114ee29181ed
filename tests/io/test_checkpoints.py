"""Checkpoints on a disk that fails, fills and forgets, and under processes that are killed (reliability rows E)."""

import hashlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from campaigns.checkpoints import ENVIRON, flip_bits, kill_savers, make
from conftest import missing
from helpers.savers import chief, saved, until_stopped
from helpers.syscalls import injected, outcomes

import distrib
from distrib import layers
from distrib.io.checkpoint_folder import checkpoints, latest_whole, read_checkpoint, write_checkpoint
from distrib.train import CheckpointManager, checkpoints_iterator, latest_checkpoint
from distrib.training.checkpoints import manager as training_checkpoints

TRAVERSALS = [
    *(
        "",
        ".",
        "..",
        "../x",
        "../../etc/passwd",
        "/etc/passwd",
        "//x",
        "a/b",
        "a/../b",
        "./a",
        "a/",
        "~",
        "~root",
    ),
    *(
        "..%2f",
        "%2e%2e%2fx",
        "%00",
        "a\\b",
        "..\\x",
        "C:\\x",
        "\\\\host\\x",
        "a:b",
        "a\0b",
        "\0",
        "a\nb",
        "a b",
    ),
    *("\u2025\u2044x", "\uff0e\uff0e\uff0fx", "\u202ea", "\u00e9", "caf\u00e9", "\u0661", "x\u0300"),
    *(
        "x" * 65,
        "x" * 5000,
        ".hidden",
        ".writing-1",
        "-rf",
        "*",
        "a?b",
        "$(x)",
        "`x`",
        "a;b",
        "a|b",
        "a\u2028b",
    ),
]


def sign(folder, change):
    """Change a manifest, and give it a valid hash."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text().rpartition("\n}")[0] + "\n}")
    change(manifest)
    text = json.dumps(manifest)
    path.write_text(f"{text}\n{hashlib.sha256(text.encode()).hexdigest()}\n")


def run(program, *arguments, prefix=()):
    command = [*prefix, sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, env=ENVIRON)


def values(model):
    return [weight.tobytes() for weight in model.get_weights()]


def everything(model):
    """Values, slots, steps and learning rate."""
    slots = model.files.contents()[0]["optimizer.safetensors"]
    kept = {name: slot.tobytes() for name, slot in slots.items()}
    return values(model), kept, model.optimizer.iterations, model.optimizer.learning_rate


def trained():
    model = make()
    model.fit(np.ones((8, 32)), np.ones((8, 4)), verbose=0)
    return model


class TestManager:
    def test_the_names_of_tensorflow(self, tmp_path):
        manager = CheckpointManager(make(), tmp_path / "new", max_to_keep=2)
        assert manager.latest_checkpoint is None
        assert manager.checkpoints == []
        assert manager.restore_or_initialize() is None
        paths = [manager.save() for _ in range(3)]
        assert paths == [str(tmp_path / "new" / f"ckpt-{number}") for number in (1, 2, 3)]
        assert manager.checkpoints == paths[1:]
        assert manager.latest_checkpoint == latest_checkpoint(tmp_path / "new") == paths[2]
        assert (tmp_path / "new" / "checkpoint").read_text() == (
            'model_checkpoint_path: "ckpt-3"\n'
            'all_model_checkpoint_paths: "ckpt-2"\n'
            'all_model_checkpoint_paths: "ckpt-3"\n'
        )
        assert sorted(path.name for path in Path(paths[2]).iterdir()) == [
            "manifest.json",
            "model.safetensors",
            "optimizer.safetensors",
        ]

    def test_what_was_saved_is_restored_and_training_goes_on(self, tmp_path):
        x, y = np.ones((8, 32)), np.ones((8, 4))
        model, other = trained(), make()
        CheckpointManager(model, tmp_path).save(checkpoint_number=40)
        assert CheckpointManager(other, tmp_path).restore_or_initialize() == str(tmp_path / "ckpt-40")
        assert values(other) == values(model)
        assert other.optimizer.iterations == model.optimizer.iterations == 1
        for each in (model, other):
            each.fit(x, y, verbose=0)
        assert values(other) == values(model)

    def test_a_number_below_the_newest_is_refused(self, tmp_path):
        manager = CheckpointManager(make(), tmp_path)
        manager.save(7)
        manager.save(7)
        with pytest.raises(distrib.ConfigError, match=r"Expected: 7 or more. Received: checkpoint_number=3"):
            manager.save(3)

    def test_bad_arguments(self, tmp_path):
        with pytest.raises(distrib.ConfigError, match="max_to_keep >= 1"):
            CheckpointManager(make(), tmp_path, max_to_keep=0)

    @pytest.mark.parametrize("name", TRAVERSALS)
    def test_s10_no_path_hides_in_a_name(self, tmp_path, monkeypatch, name):
        """Of checkpoints, of files in a manifest, and of runs."""
        folder = tmp_path / "a" / "b"
        for call in (
            lambda: CheckpointManager(make(), folder, checkpoint_name=name),
            lambda: latest_checkpoint(folder, checkpoint_name=name),
            lambda: next(checkpoints_iterator(folder, timeout=0, checkpoint_name=name)),
        ):
            with pytest.raises(distrib.ConfigError, match="name has 1 to 64 letters"):
                call()
        write_checkpoint(folder / "ckpt-1", {"a.safetensors": {"x": np.ones(3)}}, {})
        sign(folder / "ckpt-1", lambda manifest: manifest["sha256"].update({name: "0" * 64}))
        with pytest.raises(distrib.StorageError, match="names files outside"):
            read_checkpoint(folder / "ckpt-1")
        if "\0" not in name and name:
            monkeypatch.setenv("DISTRIB_RUN_ID", name)
            with pytest.raises(distrib.ConfigError, match="DISTRIB_RUN_ID: a run's name has"):
                CheckpointManager(make(), tmp_path / "c").save()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]

    def test_s10_good_names(self, tmp_path):
        for name in ("a", "ckpt", "my_model.v2", "A-b-3", "x" * 64):
            path = CheckpointManager(make(), tmp_path, checkpoint_name=name).save()
            assert latest_checkpoint(tmp_path, checkpoint_name=name) == path == str(tmp_path / f"{name}-1")

    def test_s11_what_is_written_is_for_its_user_alone(self, tmp_path):
        """Under a umask that hides nothing: checkpoints, models, weights, backups, and what the evaluator says."""
        former = os.umask(0)
        try:
            base = tmp_path / "new" / "run"
            model = make()
            modes = {}

            class Look(distrib.callbacks.Callback):
                def on_epoch_end(self, epoch, logs=None):
                    modes.update({path: path.lstat() for path in base.parent.rglob("*")})

            saving = [
                distrib.callbacks.ModelCheckpoint(base / "ckpt-{epoch}"),
                distrib.callbacks.ModelCheckpoint(
                    base / "w" / "{epoch}.weights.safetensors", save_weights_only=True
                ),
                distrib.callbacks.BackupAndRestore(base / "backup", save_freq=1, delete_checkpoint=False),
            ]
            x, y = np.ones((8, 32)), np.ones((8, 4))
            model.fit(x, y, verbose=0, callbacks=[*saving, Look()])
            CheckpointManager(model, base / "managed").save()
            distrib.SidecarEvaluator(make(), (x, y), base, max_evaluations=1).start()
        finally:
            os.umask(former)
        modes.update({path: path.lstat() for path in (base.parent, *base.parent.rglob("*"))})
        kinds = {"folder": 0, "file": 0}
        for path, status in modes.items():
            assert status.st_uid == os.geteuid()
            is_folder = stat.S_ISDIR(status.st_mode)
            assert status.st_mode & 0o777 == (0o700 if is_folder else 0o600), path
            kinds["folder" if is_folder else "file"] += 1
        assert kinds["folder"] >= 7
        assert kinds["file"] >= 14

    def test_the_iterator_gives_what_comes_and_ends_at_the_final_one(self, tmp_path):
        manager = CheckpointManager(make(), tmp_path)

        def write():
            for number in range(1, 4):
                time.sleep(0.3)
                manager.save(number, is_final=number == 3)

        thread = threading.Thread(target=write)
        thread.start()
        found = [Path(path).name for path in checkpoints_iterator(tmp_path, timeout=10)]
        thread.join()
        assert found == ["ckpt-1", "ckpt-2", "ckpt-3"]

    def test_the_iterator_ends_when_nothing_comes(self, tmp_path):
        asked = []
        assert list(checkpoints_iterator(tmp_path / "none", timeout=0.05)) == []
        ends = checkpoints_iterator(
            tmp_path, timeout=0.05, timeout_fn=lambda: len(asked) > 1 or asked.append(1)
        )
        assert list(ends) == []
        assert len(asked) == 2

    def test_a_damaged_newest_one_is_passed_over_and_named(self, tmp_path, caplog):
        manager = CheckpointManager(make(), tmp_path)
        for _ in range(3):
            manager.save()
        (tmp_path / "ckpt-3" / "model.safetensors").write_bytes(b"")
        assert latest_checkpoint(tmp_path) == str(tmp_path / "ckpt-2")
        assert "ckpt-3/model.safetensors" in caplog.text
        for number in (1, 2):
            (tmp_path / f"ckpt-{number}" / "optimizer.safetensors").unlink()
        with pytest.raises(distrib.StorageError, match="are damaged") as damaged:
            latest_checkpoint(tmp_path)
        assert all(f"ckpt-{number}" in str(damaged.value) for number in (1, 2, 3))

    def test_the_iterator_reads_a_damaged_one_once_until_it_is_written_anew(self, tmp_path, monkeypatch):
        manager, read = CheckpointManager(make(), tmp_path), []
        manager.save()
        shutil.copytree(tmp_path / "ckpt-1", tmp_path / "whole")
        (tmp_path / "ckpt-1" / "model.safetensors").write_bytes(b"")

        def reading(folder):
            read.append(folder)
            return read_checkpoint(folder)

        def write_anew():
            shutil.rmtree(tmp_path / "ckpt-1")
            (tmp_path / "whole").rename(tmp_path / "ckpt-1")

        monkeypatch.setattr(training_checkpoints, "read_checkpoint", reading)
        assert list(checkpoints_iterator(tmp_path, timeout=0.5)) == []
        assert len(read) == 1, "and it has looked several times"
        again = iter(checkpoints_iterator(tmp_path, timeout=10.0))
        thread = threading.Timer(0.3, write_anew)
        thread.start()
        assert next(again) == str(tmp_path / "ckpt-1")
        thread.join()

    def test_order_is_that_of_the_numbers_not_of_clocks(self, tmp_path):
        manager = CheckpointManager(make(), tmp_path)
        for number in (9, 10, 11):
            os.utime(manager.save(number), (2e9 - number, 2e9 - number))
        assert latest_checkpoint(tmp_path).endswith("ckpt-11")


class TestRefused:
    """By name, and what the model had stays."""

    def refused(self, model, folder, *matches):
        """It has trained, so that there is something to be lost: values, slots, steps and rate."""
        x, y = np.ones((8, 32)), np.ones((8, model.output_shape[1]))
        model.fit(x, y, verbose=0)
        model.optimizer.learning_rate = 0.25
        before = everything(model)
        with pytest.raises(distrib.StorageError) as refused:
            CheckpointManager(model, folder).restore_or_initialize()
        for match in matches:
            assert re.search(match, str(refused.value))
        assert everything(model) == before
        model.fit(x, y, verbose=0)

    def other(self, units=(16, 4), names=(None, None), optimizer="adam", **options):
        parts = [
            layers.Dense(number, input_shape=(32,) if not index else None, name=names[index])
            for index, number in enumerate(units)
        ]
        model = distrib.Sequential(parts, **options)
        model.compile(optimizer, "mse")
        return model

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            (
                {"units": (16, 5)},
                [
                    r"dense_1/kernel: expected float32 \(16, 5\), received float32 \(16, 4\)",
                    r"dense_1/bias: expected float32 \(5,\), received float32 \(4,\)",
                ],
            ),
            (
                {"names": ("a", None)},
                [
                    r"a/kernel: expected float32 \(32, 16\), received nothing",
                    r"a/bias: expected float32 \(16,\), received nothing",
                    r"dense_1/kernel: expected nothing, received float32 \(16, 4\)",
                ],
            ),
            (
                {"dtype": "float64"},
                [r"dense/kernel: expected float64 \(32, 16\), received float32 \(32, 16\)"],
            ),
            ({"optimizer": "sgd"}, ["another optimizer. Expected: SGD. Received: Adam"]),
        ],
    )
    def test_e14_another_model(self, tmp_path, options, match):
        CheckpointManager(trained(), tmp_path).save()
        self.refused(self.other(**options), tmp_path, *match)

    @pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors"])
    @pytest.mark.parametrize("how", ["missing", "extra", "dtype", "shape"])
    def test_e14_keys_that_are_missing_or_too_many(self, tmp_path, file, how):
        """The values may be right where the slots are not: they are not taken either."""
        files, manifest = trained().files.contents()
        key = next(key for key in files[file] if key.endswith("dense_1/kernel"))
        array = files[file].pop(key)
        expected = "expected float32 (16, 4), received"
        if how == "missing":
            words = f"{key}: {expected} nothing"
        elif how == "extra":
            files[file] |= {key: array, "more": array}
            words = "more: expected nothing, received float32 (16, 4)"
        elif how == "dtype":
            files[file][key] = array.astype(np.float64)
            words = f"{key}: {expected} float64 (16, 4)"
        else:
            files[file][key] = array.reshape(4, 16)
            words = f"{key}: {expected} float32 (4, 16)"
        write_checkpoint(tmp_path / "ckpt-1", files, manifest)
        self.refused(make(), tmp_path, re.escape(f"{file} is of another model"), re.escape(words))

    def test_nan_is_not_saved_and_not_read(self, tmp_path):
        model = trained()
        manager = CheckpointManager(model, tmp_path)
        path = manager.save()
        files, manifest = model.files.contents()
        model.variables[2].value[0, 0] = np.nan
        with pytest.raises(distrib.StorageError, match="NaN or Inf in dense_1/kernel"):
            manager.save()
        assert manager.checkpoints == [path]
        write_checkpoint(tmp_path / "ckpt-2", files, manifest)
        self.refused(make(), tmp_path, "ckpt-2/model.safetensors: NaN or Inf in dense_1/kernel")

    def test_a_newer_format(self, tmp_path):
        path = Path(CheckpointManager(make(), tmp_path).save()) / "manifest.json"
        text = path.read_text().rpartition("\n}")[0].replace('"format": 1', '"format": 2') + "\n}"
        path.write_text(f"{text}\n{hashlib.sha256(text.encode()).hexdigest()}\n")
        self.refused(make(), tmp_path, "newer distrib. Expected: format 1. Received: format 2")


class TestModelFiles:
    def test_a_saved_model_is_loaded(self, tmp_path):
        model = distrib.Sequential(
            [
                layers.Flatten(input_shape=(4, 8)),
                layers.Dense(16, "relu", kernel_regularizer="l2", kernel_initializer="he_normal"),
                layers.Dropout(0.2, seed=4),
                layers.Dense(3, use_bias=False),
                layers.Activation("softmax"),
            ],
            name="mine",
            dtype="float64",
            seed=9,
        )
        model.layers[1].trainable = False
        optimizer = distrib.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
        weighted = [distrib.metrics.SparseTopKCategoricalAccuracy(2, name="top")]
        model.compile(optimizer, "sparse_categorical_crossentropy", ["acc"], weighted_metrics=weighted)
        x, y = np.random.default_rng(0).normal(size=(20, 4, 8)), np.arange(20) % 3
        model.fit(x, y, verbose=0)
        model.save(tmp_path / "model-1")
        other = distrib.models.load_model(tmp_path / "model-1")
        assert values(other) == values(model)
        for each in (model, other):
            each.fit(x, y, verbose=0, epochs=2)
        assert values(other) == values(model)
        assert other.evaluate(x, y, verbose=0, return_dict=True) == model.evaluate(
            x, y, verbose=0, return_dict=True
        )
        assert (other.name, other.dtype, other.seed) == ("mine", np.float64, 9)

    def test_every_built_in_part_is_made_again(self):
        from distrib.nn import activations, initializers, losses, metrics, regularizers

        for module in (activations, initializers, losses, metrics, regularizers):
            for cls in getattr(module, "registry", module).REGISTRY.classes.values():
                needs_bound = cls.__name__ in (
                    "PrecisionAtRecall",
                    "RecallAtPrecision",
                    "SensitivityAtSpecificity",
                    "SpecificityAtSensitivity",
                )
                made = cls(0.5) if needs_bound else cls()
                config = {"class": cls.__name__, **made.get_config()}
                again = module.from_config(config)
                assert type(again) is cls
                assert again.get_config() == made.get_config()

    def test_every_layer_can_be_made_again(self):
        from distrib.nn.layers import registry

        assert set(registry.REGISTRY.classes) == {name for name in layers.__all__ if name[0].isupper()} - {
            "Input",
            "InputLayer",
            "Lambda",
            "Layer",
        }

    def test_neighbours_with_a_number_stay(self, tmp_path):
        for name in ("model-1", "model-2", "model-3", "model"):
            make().save(tmp_path / name)
        assert len(list(tmp_path.iterdir())) == 4

    def test_overwrite(self, tmp_path):
        model = make()
        model.save(tmp_path / "model")
        model.save(tmp_path / "model")
        with pytest.raises(distrib.ConfigError, match="exists, and overwrite=False"):
            model.save(tmp_path / "model", overwrite=False)

    def test_weights(self, tmp_path):
        model, other = trained(), make()
        model.save_weights(tmp_path / "a.weights.safetensors")
        other.load_weights(tmp_path / "a.weights.safetensors")
        assert values(other) == values(model)
        for call in (model.save_weights, model.load_weights):
            with pytest.raises(distrib.ConfigError, match=r"ends in \.weights\.safetensors"):
                call(tmp_path / "a.npz")
        (tmp_path / "b.weights.safetensors").write_bytes(b"nonsense")
        for name in ("b", "none"):
            with pytest.raises(distrib.StorageError, match=name):
                model.load_weights(tmp_path / f"{name}.weights.safetensors")

    def test_what_is_no_model_is_refused(self, tmp_path):
        write_checkpoint(tmp_path / "ps-1", {"a.safetensors": {}}, {"sequencer": {}})
        with pytest.raises(distrib.StorageError, match="is not a saved model"):
            distrib.load_model(tmp_path / "ps-1")
        with pytest.raises(distrib.StorageError, match="none"):
            distrib.load_model(tmp_path / "none")


class TestModelCheckpoint:
    def fit(self, losses, *callbacks):
        class Measure(distrib.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                logs["val_loss"] = losses[epoch]

        x, y = np.ones((8, 32)), np.ones((8, 4))
        make().fit(x, y, batch_size=2, verbose=0, epochs=len(losses), callbacks=[Measure(), *callbacks])

    def test_the_best_only(self, tmp_path):
        path = str(tmp_path / "{epoch:02d}-{val_loss:.2f}")
        best = distrib.callbacks.ModelCheckpoint(path, save_best_only=True)
        self.fit([0.5, 0.7, 0.25, float("nan"), 0.25], best)
        assert sorted(each.name for each in tmp_path.iterdir()) == ["01-0.50", "03-0.25"]
        assert best.best == 0.25

    def test_max_and_threshold_and_weights(self, tmp_path):
        path = str(tmp_path / "{epoch}.weights.safetensors")
        options = {"mode": "max", "initial_value_threshold": 0.6, "save_weights_only": True}
        self.fit([0.5, 0.7], distrib.callbacks.ModelCheckpoint(path, save_best_only=True, **options))
        assert [each.name for each in tmp_path.iterdir()] == ["2.weights.safetensors"]

    def test_every_so_many_batches(self, tmp_path):
        path = str(tmp_path / "{epoch}-{batch}")
        self.fit([1, 1], distrib.callbacks.ModelCheckpoint(path, save_freq=3))
        assert sorted(each.name for each in tmp_path.iterdir()) == ["1-3", "2-2"]

    def test_what_is_not_measured(self, tmp_path):
        options = {"monitor": "val_acc", "save_best_only": True, "mode": "max"}
        with pytest.warns(UserWarning, match="save best model only with `val_acc` which is not available"):
            self.fit([1], distrib.callbacks.ModelCheckpoint(tmp_path / "a", **options))
        with pytest.raises(distrib.ConfigError, match="cannot make a path"):
            self.fit([1], distrib.callbacks.ModelCheckpoint(str(tmp_path / "{nothing}")))
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("options", [{"save_freq": 0}, {"save_weights_only": True}])
    def test_bad_arguments(self, options):
        with pytest.raises(distrib.ConfigError):
            distrib.callbacks.ModelCheckpoint("a.keras", **options)


class TestFaults:
    def test_e1_killed_while_saving_in_a_loop(self, tmp_path):
        torn, seed = kill_savers(tmp_path, 4, seed=3), 4
        while not torn and seed < 12:  # until one was killed while it wrote
            torn, seed = kill_savers(tmp_path, 1, seed), seed + 1
        assert torn > 0, "no fault fired"
        assert checkpoints(tmp_path, "ckpt")

    def test_e7_flipped_bits(self, tmp_path):
        assert flip_bits(tmp_path, 120, seed=5)[0] > 100

    @pytest.fixture
    def base(self, tmp_path):
        """A folder with a checkpoint of step 1."""
        if shutil.which("strace") is None:
            missing("strace")
        model = make()
        model.optimizer.iterations = 1
        CheckpointManager(model, tmp_path / "base").save()
        return tmp_path / "base"

    def step(self, folder):
        """Of the newest checkpoint, which is whole."""
        return read_checkpoint(Path(latest_checkpoint(folder)))[1]["step"]

    @pytest.mark.parametrize(
        ("call", "least"),
        [
            ("openat", 10),
            ("write", 4),
            ("fsync", 6),
            ("rename", 2),
            ("mkdir", 1),
            ("flock", 2),
            ("unlinkat", 3),
        ],
    )
    def test_e2_killed_at_each_system_call(self, tmp_path, base, call, least):
        *killed, (folder, _, said) = outcomes(base, tmp_path, call, "signal=KILL")
        assert said == f"saved {folder}/ckpt-2\n"
        assert [each.code for each in killed] == [-signal.SIGKILL] * len(killed)
        assert len(killed) >= least, "it makes so many calls"
        steps = [self.step(each.folder) for each in killed]
        assert set(steps) <= {1, 2}
        assert steps == sorted(steps), "old before the rename, new after it"
        assert self.step(folder) == 2
        model = make()
        manager = CheckpointManager(model, killed[0].folder, max_to_keep=1)
        manager.save()
        del manager
        left = sorted(path.name for path in killed[0].folder.iterdir())
        assert left in (["checkpoint", "ckpt-2"], ["checkpoint", "ckpt-3"]), (
            "what was not finished is removed"
        )

    @pytest.mark.parametrize(("call", "least"), [("write", 4), ("fsync", 6), ("rename", 2)])
    def test_e3_an_error_of_the_disk_at_each_system_call(self, tmp_path, base, call, least):
        """Also at the last fsync, of the folder around: it is not called saved."""
        *failed, (folder, _, said) = outcomes(base, tmp_path, call, "error=EIO")
        assert said == f"saved {folder}/ckpt-2\n"
        refused = [each for each in failed if each.said.startswith("refused")]
        assert len(refused) >= least
        others = [each for each in failed if each not in refused]
        assert [each.said for each in others] == {
            "write": [""],  # the last one is that of these words
            "fsync": [],
            "rename": [f"saved {tmp_path}/rename-2/ckpt-2\n"],  # what could not be removed stays
        }[call]
        assert all(self.step(each.folder) == 2 for each in others)
        for each in refused:
            assert each.code == 74
            assert "Input/output error" in each.said
            assert self.step(each.folder) in (1, 2)
            assert "ckpt-1" in os.listdir(each.folder) or self.step(each.folder) == 2
            assert [path.name for path in each.folder.glob(".*")] == [".ckpt.owner"], (
                "its process was cut off"
            )
        assert self.step(refused[0].folder) == 1

    def test_e3_training_that_cannot_save_ends_with_74(self, tmp_path, base):
        log = tmp_path / "log"
        with chief(tmp_path / "run", "x") as training:
            saved(training, 2)
            training.send_signal(signal.SIGSTOP)
            until_stopped(training.pid)
            with injected(training.pid, "fsync", "error=EIO", log):
                training.send_signal(signal.SIGCONT)
                _, said = training.communicate(timeout=20)
        assert "INJECTED" in log.read_text()
        assert training.returncode == 74
        assert "Input/output error" in said
        assert latest_checkpoint(tmp_path / "run") is not None

    def test_e6_the_order_in_which_it_comes_to_the_disk(self, tmp_path, monkeypatch):
        """Every file, their folder, then the name, then the folder with the names."""
        done, sync, rename = [], os.fsync, Path.rename

        def syncing(descriptor):
            done.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))
            sync(descriptor)

        def renaming(path, target):
            done.append(("rename", str(path), str(target)))
            return rename(path, target)

        monkeypatch.setattr(os, "fsync", syncing)
        monkeypatch.setattr(Path, "rename", renaming)
        files = {name: {"x": np.ones(3)} for name in ("a.safetensors", "b.safetensors")}
        write_checkpoint(tmp_path / "ckpt-1", files, {})
        temporary = str(tmp_path / f".writing-{os.getpid()}-ckpt-1")
        assert done == [
            *(("sync", f"{temporary}/{name}") for name in (*files, "manifest.json")),
            ("sync", temporary),
            ("rename", temporary, str(tmp_path / "ckpt-1")),
            ("sync", str(tmp_path)),
        ]

    def test_e6_data_that_never_came_to_the_disk(self, tmp_path, caplog):
        """A file of the right size, and all zeros, as some file systems leave it after a loss of power."""
        manager = CheckpointManager(trained(), tmp_path)
        former, newest = manager.save(), Path(manager.save())
        for file in sorted(newest.iterdir()):
            whole = file.read_bytes()
            for lost in (bytes(len(whole)), whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2)):
                file.write_bytes(lost)
                with pytest.raises(distrib.StorageError, match=file.name):
                    read_checkpoint(newest)
                assert latest_checkpoint(tmp_path) == former
            file.write_bytes(whole)
        assert f"{newest}/model.safetensors was changed since it was written" in caplog.text

    def test_e4_a_full_disk(self, tmp_path):
        """A file system of 1 MB, in a mount namespace of its own."""
        if os.geteuid() or shutil.which("unshare") is None:
            missing("root and unshare")
        program = """
            import os, subprocess, sys
            from pathlib import Path
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", sys.argv[1]], check=True)
            import numpy as np
            from campaigns.checkpoints import make
            import distrib
            from distrib.train import CheckpointManager, latest_checkpoint
            manager = CheckpointManager(make(), sys.argv[1], max_to_keep=3)
            former = manager.save()
            ballast = Path(sys.argv[1], "ballast")
            ballast.write_bytes(bytes(os.statvfs(sys.argv[1]).f_bavail * os.statvfs(sys.argv[1]).f_bsize - 8192))
            try:
                manager.save()
            except distrib.StorageError as error:
                print("refused", error)
            assert latest_checkpoint(sys.argv[1]) == former
            assert sorted(os.listdir(sys.argv[1])) == [".ckpt.owner", "ballast", "checkpoint", "ckpt-1"]
            ballast.unlink()
            print("saved", manager.save())
            manager.release()
            subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
            try:
                manager.save()
            except distrib.StorageError as error:
                print("refused", error)
            assert latest_checkpoint(sys.argv[1]).endswith("ckpt-2")
            """
        ended = run(program, tmp_path, prefix=["unshare", "--mount", "--propagation", "private"])
        assert ended.returncode == 0, ended.stderr
        full, saved, read_only = ended.stdout.splitlines()
        assert "bytes, and" in full
        assert "are free" in full
        assert saved.startswith("saved")
        assert "Read-only file system" in read_only

    def test_e8_truncated_and_lengthened(self, tmp_path):
        former = CheckpointManager(make(), tmp_path).save()
        newest = Path(CheckpointManager(make(), tmp_path).save())
        for file in sorted(newest.iterdir()):
            whole = file.read_bytes()
            for damaged in (b"", whole[:1], whole[:7], whole[: len(whole) // 2], whole[:-2], whole + b"x"):
                file.write_bytes(damaged)
                with pytest.raises(distrib.StorageError, match=file.name):
                    read_checkpoint(newest)
                assert latest_checkpoint(tmp_path) == former
            file.write_bytes(whole)
        read_checkpoint(newest)

    def test_e9_e10_a_reader_beside_a_writer_sees_whole_ones_only(self, tmp_path):
        write_checkpoint(tmp_path / "ckpt-0", {"a.safetensors": {"x": np.full(1000, 0.0)}}, {"number": 0})
        ends, seen = threading.Event(), []

        def read():
            while not ends.is_set():
                _, files, manifest = latest_whole(tmp_path, "ckpt")
                assert set(files["a.safetensors"]["x"]) == {manifest["number"]}
                seen.append(manifest["number"])

        def guarded():
            try:
                read()
            except BaseException as error:
                seen.append(error)

        thread = threading.Thread(target=guarded)
        thread.start()
        for number in range(1, 150):
            arrays = {"a.safetensors": {"x": np.full(1000, float(number))}}
            write_checkpoint(tmp_path / f"ckpt-{number}", arrays, {"number": number}, max_to_keep=1)
        ends.set()
        thread.join(20)
        assert not [each for each in seen if isinstance(each, BaseException)]
        assert seen == sorted(seen)
        assert len(set(seen)) > 10

    def test_e12_leftovers_of_killed_writers_go_and_others_stay(self, tmp_path):
        for name in (
            ".writing-1-ckpt-7",
            ".writing-1-removed-ckpt-3",
            ".writing-1-other-7",
            ".writing-1-ckptx-1",
        ):
            (tmp_path / name).mkdir()
        CheckpointManager(make(), tmp_path).save()
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {".writing-1-other-7", ".writing-1-ckptx-1", "ckpt-1", "checkpoint"}

    def test_e12_what_is_being_written_stays(self, tmp_path):
        import fcntl

        under_way = tmp_path / ".writing-1-ckpt-7"
        under_way.mkdir()
        descriptor = os.open(under_way, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        CheckpointManager(make(), tmp_path).save()
        assert under_way.is_dir()
        os.close(descriptor)
        CheckpointManager(make(), tmp_path).save()
        assert not under_way.exists()

    @pytest.mark.parametrize("kind", ["fifo", "link", "device", "folder", "nest", "name", "huge", "kind"])
    def test_e17_crafted_files(self, tmp_path, kind):
        """Each is refused within a second, and nothing is read without an end."""
        path = Path(CheckpointManager(make(), tmp_path).save())
        file, manifest = path / "model.safetensors", path / "manifest.json"
        described = json.loads(manifest.read_text().rpartition("\n}")[0] + "\n}")
        if kind in ("fifo", "link", "device", "folder"):
            file.unlink()
            make_it = {
                "fifo": lambda: os.mkfifo(file),
                "link": lambda: file.symlink_to("/etc/passwd"),
                "device": lambda: file.symlink_to("/dev/zero"),
                "folder": file.mkdir,
            }
            make_it[kind]()
        elif kind == "huge":
            described["bytes"]["model.safetensors"] = 1 << 43
            os.truncate(file, 1 << 43)
        elif kind == "name":
            described["sha256"]["../../secret"] = "0" * 64
        elif kind == "kind":
            described["sha256"] = [["model.safetensors", "0"]]
        text = "[" * 100_000 if kind == "nest" else json.dumps(described)
        if kind in ("nest", "name", "huge", "kind"):
            manifest.write_text(f"{text}\n{hashlib.sha256(text.encode()).hexdigest()}\n")
        begin = time.monotonic()
        with pytest.raises(distrib.StorageError, match=str(path)):
            read_checkpoint(path)
        assert time.monotonic() - begin < 3

    def test_e17_crafted_arrays(self, tmp_path):
        """Under a valid hash: what only whoever reads the arrays can refuse, in a process that may take 64 MB."""

        def header(**tensors):
            return json.dumps(tensors).encode()

        def tensor(shape=(2,), offsets=(0, 8), dtype="F32", **more):
            return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}

        crafted = {
            "negative shape": header(x=tensor(shape=(-2,))),
            "7 TB": header(x=tensor(shape=(7 << 38,), offsets=(0, 7 << 40))),
            "7 TB in 8 bytes": header(x=tensor(shape=(7 << 38,))),
            "overflow": header(x=tensor(shape=(1 << 62, 1 << 62))),
            "overlap": header(x=tensor(), y=tensor()),
            "hole": header(x=tensor(shape=(1,), offsets=(4, 8))),
            "too long": header(x=tensor(shape=(4,), offsets=(0, 16))),
            "too short": header(x=tensor(shape=(1,), offsets=(0, 4))),
            "backwards": header(x=tensor(offsets=(8, 0))),
            "object": header(x=tensor(dtype="O")),
            "code": header(x=tensor(dtype="cos\nsystem\n(S'true'\ntR.")),
            "twice": b'{"x":'
            + json.dumps(tensor()).encode()
            + b',"x":'
            + json.dumps(tensor()).encode()
            + b"}",
            "nesting": b'{"x":' + b"[" * 200_000 + b"}",
            "list": b"[]",
            "no JSON": b"\x80\x04\x95not json",
            "no UTF-8": b"\xff" * 40,
            "many dimensions": header(x=tensor(shape=(1,) * 100_000)),
        }
        files = {name: len(text).to_bytes(8, "little") + text + bytes(8) for name, text in crafted.items()}
        files |= {
            "nothing": b"",
            "7 bytes": bytes(7),
            "huge header": (100 << 20).to_bytes(8, "little") + b"{" + b" " * (100 << 20),
            "header beyond the end": (1 << 62).to_bytes(8, "little") + b"{}",
        }
        folders = {}
        for number, (name, data) in enumerate(files.items()):
            folders[name] = folder = tmp_path / f"ckpt-{number}"
            write_checkpoint(folder, {"a.safetensors": {"x": np.ones(2)}}, {}, None)
            (folder / "a.safetensors").write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            sign(folder, lambda manifest, data=data, digest=digest: manifest.update(
                {"sha256": {"a.safetensors": digest}, "bytes": {"a.safetensors": len(data)}}
            ))  # fmt: skip
        special = {"link": lambda path: path.symlink_to("/etc/passwd"), "fifo": os.mkfifo, "folder": os.mkdir}
        for number, (name, make_it) in enumerate(special.items(), len(folders)):
            folders[name] = tmp_path / f"ckpt-{number}"
            folders[name].mkdir()
            make_it(folders[name] / "manifest.json")
        program = Path(__file__).parent / "programs" / "crafted.py"
        command = [sys.executable, str(program), *map(str, folders.values())]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=50, env=ENVIRON)
        assert ended.returncode == 0, ended.stderr
        for (name, folder), line in zip(folders.items(), ended.stdout.splitlines(), strict=True):
            assert line.startswith(f"REFUSED {folder}/"), (name, line)


class TestCommand:
    def distrib(self, *arguments):
        command = [sys.executable, "-m", "distrib", "checkpoint", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, env=ENVIRON)

    def test_ls_show_verify(self, tmp_path):
        manager = CheckpointManager(trained(), tmp_path)
        for number in (9, 10):
            manager.save(number, is_final=number == 10)
        listed = self.distrib("ls", tmp_path)
        assert listed.returncode == 0
        assert listed.stdout.index("ckpt-9") < listed.stdout.index("ckpt-10")
        shown = self.distrib("show", tmp_path)
        assert shown.returncode == 0
        assert "ckpt-10: step 1, epoch unknown, final: yes" in shown.stdout
        assert "velocity/dense_1/kernel" in shown.stdout
        assert self.distrib("verify", tmp_path / "ckpt-9").returncode == 0
        damaged = tmp_path / "ckpt-10" / "optimizer.safetensors"
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
        verified = self.distrib("verify", tmp_path)
        assert verified.returncode == 74
        assert f"{damaged} was changed" in verified.stderr
        assert verified.stdout.count("whole") == verified.stdout.count("damaged") == 1
        assert self.distrib("ls", tmp_path).returncode == 0, "it does not look into the files"

    def test_nothing_there(self, tmp_path):
        for directory in (tmp_path, tmp_path / "none"):
            ended = self.distrib("ls", directory)
            assert ended.returncode == 74
            assert str(directory) in ended.stderr
            assert "Traceback" not in ended.stderr
