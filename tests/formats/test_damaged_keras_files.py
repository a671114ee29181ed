"""Files of Keras that are damaged, or made to do harm: an error that says so, and neither a crash nor much memory."""

import io
import json
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.replicas import difference

import distrib
from distrib.base.errors import ConfigError, StorageError
from distrib.formats.hdf5 import Group, read_hdf5, set_texts, texts, write_hdf5

FILES = Path(__file__).with_name("files")
NAMES = ["keras3_row.keras", "keras3_graph.keras", "keras3_row.h5", "keras3_graph.h5", "keras2_graph.h5"]

MUTATE = """
import random, sys
from pathlib import Path
import distrib
from distrib.base.errors import ConfigError, StorageError
source, folder, seed, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
content, refused = source.read_bytes(), 0
expected = distrib.load_model(source).get_weights()
rng = random.Random(seed)
for number in range(count):
    mutated = bytearray(content)
    if number % 4 == 0:
        del mutated[rng.randrange(len(content)) :]
    else:
        for _ in range(rng.choice([1, 1, 4, 64])):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
    path = folder / f"{number}{source.suffix}"
    path.write_bytes(mutated)
    try:
        model = distrib.load_model(path)
    except (StorageError, ConfigError):
        refused += 1
    else:
        if source.suffix == ".keras":  # it has checksums: what is loaded is what was saved
            assert all((a == b).all() for a, b in zip(model.get_weights(), expected, strict=True)), number
    path.unlink()
print(refused)
"""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", NAMES)
def test_mutated_files(tmp_path, name):
    """In another process: the library behind h5py is not written in Python."""
    command = [sys.executable, "-c", MUTATE, str(FILES / name), str(tmp_path), "1", "40"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    # Where there is no checksum, other numbers are other weights.
    assert int(done.stdout) >= (32 if name.endswith(".keras") else 10)


def test_a_file_that_ends_the_process_that_reads_it(tmp_path):
    """With HDF5 of h5py 3.16 it ends with a segmentation fault."""
    content = bytearray((FILES / "keras2_graph.h5").read_bytes())
    rng = random.Random(7)
    for number in range(1024):  # the 1024th file of a campaign
        mutated = bytearray(content)
        if number % 4 == 0:
            del mutated[rng.randrange(len(content)) :]
        else:
            for _ in range(rng.choice([1, 1, 4, 64])):
                mutated[rng.randrange(len(mutated))] = rng.randrange(256)
    path = tmp_path / "model.h5"
    path.write_bytes(mutated)
    with pytest.raises(StorageError, match="damaged"):
        distrib.load_model(path)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "the process that read it ended with -11",
        ),
        ("raise MemoryError('too much')", "too much"),
        ("print()", "is damaged"),
        ("import sys; sys.stdout.write(chr(2) + 7 * chr(0) + '[]')", "is damaged"),
        (
            'import sys; t = \'{"attributes": {}, "groups": {}, "datasets": {"a": ["<f4", [9]]}}\'; '
            "sys.stdout.write(chr(len(t)) + 7 * chr(0) + t)",
            "it ends too early",
        ),
    ],
)
def test_a_reader_that_fails_is_an_error(tmp_path, monkeypatch, program, words):
    (tmp_path / "reader.py").write_text(program)
    monkeypatch.setattr("distrib.formats.hdf5._READER", str(tmp_path / "reader.py"))
    with pytest.raises(StorageError, match=words):
        distrib.load_model(FILES / "keras3_row.h5")


def hdf5(make):
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        make(file)
    return content.getvalue()


def a_link_outside(file):
    file["values"] = h5py.ExternalLink("/etc/hostname", "/")


def a_soft_link(file):
    file["values"] = h5py.SoftLink("/other")


def an_array_outside(file):
    file.create_dataset("values", (8,), "f4", external=[("/etc/hostname", 0, 32)])


def a_compressed_array(file):
    file.create_dataset("values", data=np.zeros(1 << 16, "f4"), compression="gzip")


def an_array_without_storage(file):
    file.create_dataset("values", (1 << 40,), "f4")


def an_array_of_text(file):
    file["values"] = ["a", "b"]


def a_named_type(file):
    file["values"] = np.dtype("f4")


def a_group_in_itself(file):
    file.create_group("inner")["inner"] = file["/"]


@pytest.mark.parametrize(
    "make",
    [
        a_link_outside,
        a_soft_link,
        an_array_outside,
        a_compressed_array,
        an_array_without_storage,
        an_array_of_text,
        a_named_type,
        a_group_in_itself,
    ],
)
def test_what_keras_does_not_write_is_refused(make):
    with pytest.raises(StorageError, match="weights"):
        read_hdf5(hdf5(make), "weights")


def test_trees_are_read_as_they_were_written():
    names = [f"a-rather-long-name-of-a-layer-{number}" for number in range(5000)]
    tree = Group(attributes={"number": 3, "text": "ä"})
    set_texts(tree.attributes, "names", names)
    assert "names1" in tree.attributes
    tree.group("a/b").datasets = {"0": np.arange(6.0).reshape(2, 3), "1": np.float32(2)}
    found = read_hdf5(write_hdf5(tree), "tree")
    assert texts(found.attributes, "names") == names
    assert (found.attributes["number"], found.attributes["text"]) == (3, "ä")
    np.testing.assert_array_equal(found.find("a/b").datasets["0"], np.arange(6.0).reshape(2, 3))
    assert found.find("a/b").datasets["1"].shape == ()
    with pytest.raises(StorageError, match="Expected an attribute others"):
        texts(found.attributes, "others")


def zipped(members, compression=zipfile.ZIP_STORED):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no .keras file"),
        (zipped({}), "config.json"),
        (zipped({"config.json": "{}"}), "model.weights.h5"),
        (zipped({"config.json": "[]", "model.weights.h5": b""}), "does not describe a model"),
        (zipped({"config.json": "{", "model.weights.h5": b""}), "no .keras file"),
        (zipped({"config.json": "{}", "model.weights.h5": b"no HDF5"}), "no HDF5 file"),
        (
            zipped({"config.json": "{}", "model.weights.h5": bytes(1 << 27)}, zipfile.ZIP_DEFLATED),
            "is larger than",
        ),
        (zipped({"config.json": "[" * 100_000, "model.weights.h5": b""}), "no .keras file"),
        (zipped({str(number): "" for number in range(1001)}), "more than 1000 members"),
    ],
)
def test_archives_that_are_none(tmp_path, content, words):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=words):
        distrib.load_model(path)


def changed(path, change, folder):
    """A `.keras` file whose weights were changed."""
    with zipfile.ZipFile(path) as archive:
        tree = read_hdf5(archive.read("model.weights.h5"), "weights")
        change(tree)
        content = zipped({"config.json": archive.read("config.json"), "model.weights.h5": write_hdf5(tree)})
    target = folder / "model.keras"
    target.write_bytes(content)
    return target


def test_weights_that_do_not_fit_change_nothing(tmp_path):
    source = FILES / "keras3_row.keras"
    model = distrib.load_model(source)
    before = model.get_weights()

    def other_shape(tree):
        tree.find("layers/dense/vars").datasets["0"] = np.zeros((3, 5), "f4")

    def one_less(tree):
        del tree.find("layers/dense/vars").datasets["1"]

    def not_a_number(tree):
        tree.find("layers/dense_2/vars").datasets["0"][1, 1] = np.nan

    for change, words in (
        (other_shape, "expected the shape"),
        (one_less, "has 2 variables"),
        (not_a_number, "NaN or Inf"),
    ):
        path = changed(source, change, tmp_path)
        with pytest.raises(StorageError, match=words):
            model.load_weights(path)
        with pytest.raises(StorageError, match=words):
            distrib.load_model(path)
        assert difference(model.get_weights(), before) == 0


def test_a_state_of_another_optimizer_is_left_out_aloud(tmp_path, caplog):
    def less(tree):
        del tree.find("optimizer/vars").datasets["7"]

    path = changed(FILES / "keras3_row.keras", less, tmp_path)
    with caplog.at_level("WARNING", "distrib"):
        model = distrib.load_model(path)
    assert "The optimizer begins anew" in caplog.text
    assert model.optimizer.iterations == 0


def test_a_layer_is_not_made_larger_than_what_the_file_holds(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(FILES / "keras3_row.keras") as there, zipfile.ZipFile(content, "w") as archive:
        config = json.loads(there.read("config.json"))
        config["config"]["layers"][2]["config"]["units"] = 1 << 40
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", there.read("model.weights.h5"))
    path = tmp_path / "model.keras"
    path.write_bytes(content.getvalue())
    with pytest.raises((StorageError, ConfigError)):
        distrib.load_model(path)


def test_a_count_that_is_none_is_left_out_aloud(tmp_path, caplog):
    for value in (np.float32("nan"), np.int32(-4)):

        def change(tree, value=value):
            tree.find("optimizer/vars").datasets["0"] = np.asarray(value)

        path = changed(FILES / "keras3_row.keras", change, tmp_path)
        caplog.clear()
        with caplog.at_level("WARNING", "distrib"):
            model = distrib.load_model(path)
            model.load_weights(path)
        assert "expected a count and a learning rate" in caplog.text
        assert model.optimizer.iterations == 0


def test_a_deep_configuration(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(FILES / "keras3_graph.keras") as there, zipfile.ZipFile(content, "w") as archive:
        text = there.read("config.json").decode()
        begin = text.index('"args": [') + len('"args": [')
        depth = 700
        archive.writestr("config.json", f"{text[:begin]}{'[' * depth}{']' * depth}, {text[begin:]}")
        archive.writestr("model.weights.h5", there.read("model.weights.h5"))
    path = tmp_path / "model.keras"
    path.write_bytes(content.getvalue())
    with pytest.raises((StorageError, ConfigError)):
        distrib.load_model(path)
