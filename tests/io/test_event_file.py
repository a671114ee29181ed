"""Event files: read back by TensorBoard's own reader, names that do not collide, and what is refused."""

import subprocess
import sys
import time

import numpy as np
import pytest
from helpers.events import files, read, scalars, text

import distrib
from distrib.io import event_file
from distrib.io.event_file import SummaryWriter


def test_what_is_written_is_read_back(tmp_path):
    writer = SummaryWriter(tmp_path / "run", "chief-0")
    for step, value in enumerate((1.5, float("nan"), -0.1)):
        writer.scalar("epoch_loss", value, step)
    values = np.random.default_rng(0).normal(size=(100, 7))
    writer.histogram("kernel/histogram", values, 3)
    writer.text("model/summary", "a text\nof two lines")
    writer.close()
    writer.close()
    read_back = scalars(tmp_path / "run")["epoch_loss"]
    np.testing.assert_array_equal(read_back, [(0, 1.5), (1, np.nan), (2, np.float32(-0.1))])
    (event,) = read(tmp_path / "run").Histograms("kernel/histogram")
    histogram = event.histogram_value
    assert (event.step, histogram.num, histogram.min, histogram.max) == (3, 700, values.min(), values.max())
    np.testing.assert_allclose([histogram.sum, histogram.sum_squares], [values.sum(), (values**2).sum()])
    counts, limits = np.histogram(values, bins=30)
    assert [count for count in histogram.bucket if count] == [count for count in counts if count]
    np.testing.assert_allclose(histogram.bucket_limit, limits)
    assert text(tmp_path / "run", "model/summary") == "a text\nof two lines"


def test_what_is_flushed_survives_a_kill(tmp_path):
    program = (
        "import os, signal\n"
        "from distrib.io.event_file import SummaryWriter\n"
        f"writer = SummaryWriter({str(tmp_path)!r}, 'chief-0')\n"
        "for step in range(1000): writer.scalar('loss', step, step)\n"
        "writer.flush()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30).returncode == -9
    assert scalars(tmp_path)["loss"] == [(step, float(step)) for step in range(1000)]


def test_who_watches_sees_what_was_written_some_seconds_ago(tmp_path, monkeypatch):
    monkeypatch.setattr(event_file, "FLUSH_EVERY_S", 0.2)
    writer = SummaryWriter(tmp_path, "chief-0")
    writer.scalar("loss", 0.0, 0)
    assert "loss" not in scalars(tmp_path)
    time.sleep(0.2)
    writer.scalar("loss", 1.0, 1)
    assert [step for step, _ in scalars(tmp_path)["loss"]] == [0, 1]
    writer.close()


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_c29_a_wall_clock_that_jumps_changes_nothing_but_the_date(tmp_path, monkeypatch, jump):
    monkeypatch.setattr(event_file, "FLUSH_EVERY_S", 0.2)
    writer, real = SummaryWriter(tmp_path, "chief-0"), time.time
    writer.scalar("loss", 0.0, 0)
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    writer.scalar("loss", 1.0, 1)
    assert "loss" not in scalars(tmp_path), "it is too early"
    time.sleep(0.2)
    writer.scalar("loss", 2.0, 2)
    events = read(tmp_path).Scalars("loss")
    assert [event.step for event in events] == [0, 1, 2]
    assert abs(events[1].wall_time - events[0].wall_time - jump) < 60, "the fault"
    writer.close()


def test_nan_in_an_array_does_not_count(tmp_path):
    writer = SummaryWriter(tmp_path, "chief-0")
    writer.histogram("some", [np.nan, np.inf, 1.0, 2.0], 0)
    writer.histogram("none", [np.nan, -np.inf], 0)
    writer.histogram("empty", [], 0)
    writer.histogram("equal", np.ones(5, np.float32), 0)
    writer.close()
    found = read(tmp_path)
    assert sorted(found.Tags()["histograms"]) == ["equal", "some"]
    assert found.Histograms("some")[0].histogram_value.num == 2
    assert found.Histograms("equal")[0].histogram_value.num == 5


def test_roles_of_one_second_have_files_of_their_own(tmp_path):
    writers = [SummaryWriter(tmp_path, role) for role in ("chief-0", "worker-1", "evaluator-0", "chief-0")]
    for index, writer in enumerate(writers):
        writer.scalar(f"from_{index}", 1.0, 0)
        writer.close()
    names = files(tmp_path)
    assert len(names) == 4
    assert sorted(name.rsplit(".", 1)[1] for name in names) == [
        "chief-0",
        "chief-0",
        "evaluator-0",
        "worker-1",
    ]
    assert set(scalars(tmp_path)) == {f"from_{index}" for index in range(4)}


def test_a_missing_tensorboardx_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    for make in (lambda: SummaryWriter(tmp_path, "chief-0"), lambda: distrib.callbacks.TensorBoard(tmp_path)):
        with pytest.raises(distrib.ConfigError, match="pip install tensorboardX tensorboard"):
            make()


def test_a_folder_that_cannot_be_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(distrib.StorageError, match=r"file/run cannot be written.*another folder"):
        SummaryWriter(tmp_path / "file" / "run", "chief-0")


def test_a_full_disk_is_a_storage_error(tmp_path):
    """/dev/full says that there is no space."""
    writer = SummaryWriter(tmp_path, "chief-0")
    records = writer._file._py_recordio_writer
    records._writer.close()
    records._writer = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    with pytest.raises(distrib.StorageError, match=r"No space left on device\. Free space there"):
        writer.scalar("loss", 1.0, 0)
    records._writer.close()
