"""Parsers of what comes from outside: whatever they are given, they answer or raise an error of ours."""

import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
from unittest import mock

import pytest

import distrib
from distrib.base.errors import DistribError
from distrib.base.parse_json import parse_json
from distrib.cluster.config import config_from_environment
from distrib.io import series_lock
from distrib.io.checkpoint_folder import read_manifest
from distrib.launch.task import exit_record
from distrib.ps.policy.validation import model_description, phase_description
from distrib.training.checkpoints.evaluator_mailbox import EvaluatorMailbox

VALUES = [
    None, True, -1, 0, 10**12, 10**400, 1e308, float("inf"), float("nan"), "", "x" * 5_000, "../../etc/passwd",
    [], {}, [[]] * 100, {"a": {"b": []}}, [1, "2", None],
]  # fmt: skip
RAW = [
    b"", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe\x00", b"nul", b"{}", b"null", b"3", b"Infinity",
    b"1" * 5_000, b'{"a": 1, "a": 2}', b'"\\ud800"',
]  # fmt: skip


def spoilt(good, rng):
    """`good` as JSON, with one thing in it replaced, left out or added; or something else altogether."""
    if rng.randrange(8) == 0:
        return rng.choice(RAW)
    text = json.dumps(good).encode()
    if rng.randrange(4) == 0:
        begin = rng.randrange(len(text))
        return text[:begin] + rng.randbytes(rng.randrange(4)) + text[begin + rng.randrange(3) :]
    value = json.loads(text)
    place, key = value, None
    while isinstance(place, dict | list) and place and (key is None or rng.randrange(3)):
        parent, key = place, rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        place = parent[key]
    if rng.randrange(4):
        parent[key] = rng.choice(VALUES)
    else:
        del parent[key]
    return json.dumps(value).encode()


RECORD = {"run": "r.1", "task": "worker 1", "host": "h", "code": 0, "what": ""}
CLUSTER = {"cluster": {"worker": ["a:1", "b:2"], "ps": ["c:3"]}, "task": {"type": "worker", "index": 1}}
MODEL = {
    "size": 4, "dtype": "float32", "optimizer": {"class": "SGD", "learning_rate": 0.1}, "learning_rate": 0.1,
    "penalties": [[{"class": "L1L2", "l1": 0.0, "l2": 0.1}, 0, 4]], "layout": [["a/kernel", 0, 4]],
    "rules": {"mode": "sync", "num_workers": 1, "staleness": {"class": "AcceptStale"}}, "ps": ["a:1"],
    "start": {"step": 1, "learning_rate": 0.1, "origin": "w"},
}  # fmt: skip
PHASE = {
    "kind": "train", "num_examples": 9, "batch_size": 3, "steps_per_epoch": 3, "num_sums": 5, "epoch": 0,
    "learning_rate": 0.1, "undone": [[0, 0, 3]], "totals": [0.0] * 5,
}  # fmt: skip


def parse_record(data, folder):
    shown, found = exit_record.from_line(exit_record.MARK + data.decode("latin-1"))
    assert found is None or isinstance(found, exit_record.ExitRecord)
    assert found is not None or shown


def parse_owner(data, folder):
    (folder / ".x.owner").write_bytes(data)
    assert isinstance(series_lock.read_owner(folder / ".x.owner"), dict)


def parse_sidecar(data, folder):
    for name in ("finished", "stop", "evaluator.json"):
        (folder / name).write_bytes(data)
    with mock.patch.dict(os.environ, DISTRIB_RUN_ID="r"):
        sidecar = EvaluatorMailbox(folder)
    assert sidecar.recalled("other") is None
    found = sidecar.recalled("ckpt")
    assert found is None or found.done == int(found.done)
    assert sidecar.is_finished in (True, False)
    assert sidecar.is_asked_to_stop in (True, False)


def parse_tf_config(data, folder):
    config_from_environment({"TF_CONFIG": data.decode("latin-1")})


PARSERS = {
    "json": (lambda data, folder: parse_json(data, finite=True), {"a": [1, {"b": 2.5}]}),
    "record": (parse_record, RECORD),
    "owner": (parse_owner, {"pid": 3, "host": "h", "run": "r"}),
    "sidecar": (parse_sidecar, {"run": "r", "name": "ckpt", "done": 3, "best": 0.5}),
    "TF_CONFIG": (parse_tf_config, CLUSTER),
    "model": (lambda data, folder: model_description(data.decode("latin-1")), MODEL),
    "stage": (lambda data, folder: phase_description(data.decode("latin-1")), PHASE),
}


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("seed", range(3))
def test_a_parser_answers_or_raises_our_error(tmp_path, name, seed):
    parse, good = PARSERS[name]
    allowed = (DistribError, ValueError) if name == "json" else DistribError
    rng = random.Random(f"{name} {seed}")
    parse(json.dumps(good).encode(), tmp_path)
    for data in [*RAW, *(spoilt(good, rng) for _ in range(300))]:
        with contextlib.suppress(allowed):
            parse(data, tmp_path)


def row():
    return distrib.Sequential(
        [distrib.layers.Dense(3, input_shape=(4,)), distrib.layers.Dropout(0.1), distrib.layers.Dense(2)]
    )


def graph():
    inputs, shared = distrib.Input((4,)), distrib.layers.Dense(4)
    joined = distrib.layers.concatenate([shared(inputs), shared(shared(inputs))])
    return distrib.Model(inputs, {"out": distrib.layers.Dense(2)(joined)})


@pytest.mark.parametrize("make", [row, graph])
@pytest.mark.parametrize("seed", range(2))
def test_a_saved_model_loads_or_raises_our_error(tmp_path, seed, make):
    model = make()
    model.compile("adam", "mse", ["accuracy"])
    model.save(tmp_path / "saved")
    manifest = tmp_path / "saved" / "manifest.json"
    good = json.loads(manifest.read_text().rstrip("\n").rpartition("\n")[0])
    rng = random.Random(seed)
    for data in [*RAW, *(spoilt(good, rng) for _ in range(200))]:
        manifest.write_bytes(data + b"\n" + hashlib.sha256(data).hexdigest().encode() + b"\n")
        with contextlib.suppress(DistribError):
            distrib.load_model(tmp_path / "saved")
        with contextlib.suppress(DistribError):
            read_manifest(tmp_path / "saved")


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config.update(input_shape=[10**12]),
        lambda config: config["layers"][0].update(units=10**12),
        lambda config: config["layers"][0].update(units=10**7),
        lambda config: config.update(input_shape=[10**8]),
    ],
)
def test_impossible_sizes_are_refused_before_memory_is_taken(tmp_path, change, monkeypatch):
    model = distrib.Sequential([distrib.layers.Dense(3, input_shape=(4,))])
    model.compile("sgd", "mse")
    model.save(tmp_path / "saved")
    manifest = tmp_path / "saved" / "manifest.json"
    config = json.loads(manifest.read_text().rstrip("\n").rpartition("\n")[0])
    change(config["model"])
    data = json.dumps(config).encode()
    manifest.write_bytes(data + b"\n" + hashlib.sha256(data).hexdigest().encode() + b"\n")
    taken = []
    draw = distrib.initializers.GlorotUniform.draw
    monkeypatch.setattr(
        distrib.initializers.GlorotUniform,
        "draw",
        lambda self, rng, shape: taken.append(shape) or draw(self, rng, shape),
    )
    with pytest.raises(distrib.StorageError, match="has more elements than the files"):
        distrib.load_model(tmp_path / "saved")
    assert not taken


@pytest.mark.parametrize("variable", ["DISTRIB_UNREACHABLE_S", "DISTRIB_HOST_SILENCE_S", "DISTRIB_STOPPED_S"])
def test_timeouts_are_settings(variable):
    program = (
        "from distrib.comm.liveness import protocol; print(protocol."
        + variable.removeprefix("DISTRIB_")
        + ")"
    )
    for value, expected in (("7.5", "7.5"), ("", None), ("0", "ConfigError"), ("soon", "ConfigError")):
        ended = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env={**os.environ, variable: value},
        )
        if expected == "ConfigError":
            assert ended.returncode == 64
            assert f"{variable}: expected seconds, above 0" in ended.stderr
        else:
            assert expected is None or ended.stdout.strip() == expected


def test_keepalive_is_a_setting():
    program = "from distrib.ps.wire import grpc_options; print(dict(grpc_options.CHANNEL)['grpc.keepalive_time_ms'])"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "DISTRIB_KEEPALIVE_S": "10"},
    )
    assert ended.stdout.strip() == "10000"
