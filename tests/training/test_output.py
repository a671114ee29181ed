"""What a training prints, on terminals, in files and notebooks, and in encodings without a bar."""

import io
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import distrib
from distrib import callbacks
from distrib.base import console

SCRIPT = """
import numpy as np, distrib
x, y = np.zeros((32, 4), "float32"), np.zeros(32, "int64")
model = distrib.Sequential([distrib.layers.Dense(2, activation="softmax", input_shape=(4,), name="first")])
model.compile("sgd", "sparse_categorical_crossentropy", "accuracy")
model.summary()
model.fit(x, y, epochs=2, verbose=VERBOSE, validation_split=0.5)
model.evaluate(x, y, verbose=VERBOSE)
model.predict(x, verbose=VERBOSE)
print("OK")
"""
FIGURES = r"\d+s \d+(us|ms|s)/step - accuracy: \d\.\d{4} - loss: \d\.\d{4}"
VALIDATED = FIGURES + r" - val_accuracy: \d\.\d{4} - val_loss: \d\.\d{4}"


def run(verbose, stdout=subprocess.PIPE, script=SCRIPT, **environ):
    program = script.replace("VERBOSE", repr(verbose))
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environ},
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize("verbose", ["auto", 1, 2])
@pytest.mark.parametrize(
    ("environ", "bar"),
    [
        ({"PYTHONIOENCODING": "ascii"}, "="),
        ({"PYTHONIOENCODING": "latin-1"}, "="),
        ({"PYTHONIOENCODING": "utf-8"}, "━"),
        ({"LANG": "C", "LC_ALL": "C"}, "━"),  # Python takes UTF-8 there
        ({"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, "="),
    ],
)
def test_no_encoding_ends_a_training(environ, bar, verbose):
    ended = run(verbose, **environ)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == b""
    lines = ended.stdout.decode("utf-8" if bar == "━" else "latin-1").splitlines()
    assert lines[-1] == "OK"
    assert "first (Dense)" in "\n".join(lines)
    drawn = re.escape(bar * 20)
    shown = lines[lines.index("Epoch 1/2") :]
    if verbose == 2:
        line = VALIDATED.replace("s ", "s - ", 1)
        patterns = ["Epoch 1/2", f"1/1 - {line}", "Epoch 2/2", f"1/1 - {line}"]
        patterns += [f"1/1 - {FIGURES.replace('s ', 's - ', 1)}", r"1/1 - \d+s - \d+\w+/step", "OK"]
    else:
        patterns = ["Epoch 1/2", f"1/1 {drawn} {VALIDATED}", "Epoch 2/2", f"1/1 {drawn} {VALIDATED}"]
        patterns += [f"1/1 {drawn} {FIGURES}", rf"1/1 {drawn} \d+s \d+\w+/step", "OK"]
    assert len(shown) == len(patterns), shown
    for text, pattern in zip(shown, patterns, strict=True):
        assert re.fullmatch(pattern, text), (text, pattern)


def test_a_file_has_no_control_characters(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        assert run(1, stdout=log).returncode == 0
    text = (tmp_path / "log").read_text()
    assert "1/1 ━" in text
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", text)


def test_output_that_cannot_be_written_ends_nothing(tmp_path):
    with open("/dev/full", "wb") as full:
        script = SCRIPT + f"open({str(tmp_path / 'end')!r}, 'w').write('trained')"
        ended = run(1, stdout=full, script=script)
    assert ended.returncode == 0
    assert ended.stderr.count(b"Standard output cannot be written") == 1
    assert (tmp_path / "end").read_text() == "trained"


def test_a_reader_that_has_gone_ends_nothing():
    reader, writer = os.pipe()
    os.close(reader)
    ended = run(1, stdout=writer)
    os.close(writer)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count(b"Standard output cannot be written") == 1


class Stream(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


class OutStream(io.StringIO):
    """As ipykernel's, which is no terminal."""

    encoding = "UTF-8"


OutStream.__module__ = "ipykernel.iostream"


@pytest.mark.parametrize("stream", [Stream, OutStream])
@pytest.mark.filterwarnings("error")
def test_a_line_moves_where_somebody_watches(monkeypatch, stream):
    monkeypatch.setattr(sys, "stdout", stream())
    monkeypatch.setattr(callbacks.ProgressBar, "__module__", "distrib")
    monkeypatch.setattr("distrib.training.callbacks.progress_bar._REFRESH_S", 0.0)
    model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    model.fit(np.ones((40, 2)), np.ones((40, 1)), batch_size=10)
    model.predict(np.ones((40, 2)), batch_size=20)
    out = sys.stdout.getvalue()
    assert "\x1b" not in out
    drawn = [line for line in re.split(r"[\r\n]", out) if line.strip()]
    assert [re.match(r" *\d+/\d", line)[0] for line in drawn] == [
        "1/4", "2/4", "3/4", "4/4", "4/4", "1/2", "2/2", "2/2",
    ]  # fmt: skip
    assert "━━━━━───────────────" in drawn[0]


@pytest.mark.parametrize(
    ("environ", "is_watched"),
    [({}, False), ({"DISTRIB_TTY": "1"}, True), ({"OMPI_COMM_WORLD_RANK": "0", "DISTRIB_TTY": "1"}, True)],
)
def test_who_watches(monkeypatch, environ, is_watched):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert console.is_watched() == is_watched
