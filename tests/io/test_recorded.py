"""Files that an earlier version has written are read, and training goes on from them, as that version would."""

import json
import shutil
import sys
import threading
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from helpers.ps import worker_of
from helpers.replicas import difference, in_one_process
from ps.test_checkpoint_coordinator import training

import distrib
from distrib.io.checkpoint_folder import read_manifest
from distrib.ps.server.checkpoint_writer import CheckpointOptions
from distrib.ps.server.server import Server
from distrib.ps.server.server_options import ServerOptions
from distrib.strategies.parameter_server import ParameterServerStrategy

FOLDER = Path(__file__).parent / "recorded"
AFTER = json.loads((FOLDER / "after.json").read_text())

spec = spec_from_file_location("record", FOLDER / "record.py")
record = module_from_spec(spec)
sys.modules["record"] = record
spec.loader.exec_module(record)


def weights(name):
    return [np.array(each) for each in AFTER[name]]


@pytest.mark.parametrize("name", ["model", "checkpoints/ckpt-1"])
def test_a_model_predicts_and_trains_as_before(name):
    model = distrib.load_model(FOLDER / name)
    np.testing.assert_allclose(model.predict(record.X, verbose=0), AFTER["predicted"], rtol=1e-12)
    model.fit(record.X, record.Y, batch_size=8, epochs=4, initial_epoch=2, verbose=0)
    assert difference(model.get_weights(), weights("trained")) <= 1e-12


def test_weights_are_read():
    model = record.make()
    model.load_weights(FOLDER / "model.weights.safetensors")
    np.testing.assert_allclose(model.predict(record.X, verbose=0), AFTER["predicted"], rtol=1e-12)


def test_a_backup_in_the_middle_of_an_epoch_is_gone_on_from(tmp_path):
    shutil.copytree(FOLDER / "backup", tmp_path / "backup")
    assert read_manifest(FOLDER / "backup" / "backup-5")["progress"]["step"], "in the middle"
    model = record.make()
    backup = distrib.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)
    count = record.StopAt(100)
    model.fit(record.X, record.Y, batch_size=8, epochs=3, verbose=0, callbacks=[count, backup])
    assert count.steps == 9 - 4, "it went on behind the fourth step"
    assert difference(model.get_weights(), weights("straight")) <= 1e-12


def test_parameter_servers_go_on(tmp_path):
    (found,) = FOLDER.glob("ps-*")
    shutil.copytree(found, tmp_path / found.name)
    options = CheckpointOptions(tmp_path, every=4, restore=True)
    servers = [Server("127.0.0.1:0", ServerOptions(checkpoints=options)) for _ in range(2)]
    addresses = tuple(f"127.0.0.1:{server.port}" for server in servers)
    results, strategies = {}, {}

    def work(worker):
        strategies[worker] = ParameterServerStrategy(worker_of(worker, 2, addresses), "sync")
        with strategies[worker].scope():
            results[worker] = training(strategies[worker])

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    counts = strategies[0].counters
    for worker in (1, 0):
        strategies[worker].close()
    for server in servers:
        assert server.has_ended.wait(5.0)
        server.close()
    version = read_manifest(found)["sequencer"]["version"]
    assert version > 8
    assert counts["version"] == 30, "six epochs of five steps, those before the checkpoint among them"
    expected, _ = in_one_process(training)
    assert difference(results[0][0], expected) <= 1e-12
