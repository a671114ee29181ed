"""Threads of our own that end by an error: somebody knows, and nobody waits for what they would do."""

import time

import numpy as np
import pytest
from helpers.mpi import available, mpirun
from helpers.ps import on_workers

import distrib
from distrib import background
from distrib.ps import saver as saver_module
from distrib.ps.saver import Checkpoints, Saver


def test_an_error_is_logged_with_the_name_of_the_thread_and_told(caplog):
    told = []

    def fail():
        raise OSError(5, "Input/output error")

    background.start(fail, "example", told.append).join(5)
    assert [str(error) for error in told] == ["[Errno 5] Input/output error"]
    assert "The thread 'example' has ended" in caplog.text
    assert "Input/output error" in caplog.text


def parts(saver, cut):
    said = []
    saver.add(cut, 0, {"values": np.zeros(4, np.float32)})
    saver.begin(cut, {"cut": cut})
    saver.when_done(cut, said.append)
    deadline = time.monotonic() + 5
    while not said and time.monotonic() < deadline:
        time.sleep(0.01)
    return said


@pytest.mark.parametrize(
    "error", [OSError(5, "Input/output error"), MemoryError(), KeyError("cut")], ids=repr
)
def test_an_error_while_saving_is_told_and_the_next_checkpoint_is_written(tmp_path, monkeypatch, error):
    write, errors = saver_module.write_checkpoint, [error]

    def fails_once(*arguments):
        if errors:
            raise errors.pop()
        write(*arguments)

    monkeypatch.setattr(saver_module, "write_checkpoint", fails_once)
    saver = Saver(tmp_path, 1)
    (failure,) = parts(saver, 1)
    assert type(error).__name__ in failure
    assert parts(saver, 2) == [""]
    assert (tmp_path / "ps-2").is_dir()
    saver.close()


def test_a_saver_whose_thread_has_ended_says_so(tmp_path, monkeypatch):
    class Fatal(BaseException):
        pass

    def dies(*arguments):
        raise Fatal

    monkeypatch.setattr(saver_module, "write_checkpoint", dies)
    saver = Saver(tmp_path, 1)
    for cut in (1, 2):
        (failure,) = parts(saver, cut)
        assert "the thread that saves has ended: Fatal()" in failure
    saver.close()


def test_training_goes_on_where_a_ps_cannot_save_for_a_reason_nobody_expected(tmp_path, monkeypatch):
    def fails(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(saver_module, "write_checkpoint", fails)

    def body(strategy):
        model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(3,))])
        model.compile("sgd", "mse")
        return model.fit(np.ones((40, 3)), np.zeros((40, 1)), batch_size=4, epochs=2, verbose=0).history

    begin = time.monotonic()
    histories = on_workers(2, body, checkpoints=Checkpoints(tmp_path, every=3))
    assert len(histories[0]["loss"]) == 2
    assert time.monotonic() - begin < 20


WATCH_DIES = """
import time
import numpy as np
import distrib
from distrib.comm.watch import Watch

strategy = distrib.MirroredStrategy()
if strategy.replica_id == 1:
    def take(self, message):
        print("FAULT FIRED at", time.monotonic(), flush=True)
        raise RuntimeError("a bug of ours")
    Watch._take = take
with strategy.scope():
    model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(3,))])
    model.compile("sgd", "mse")
model.fit(np.ones((40, 3)), np.zeros((40, 1)), batch_size=4, epochs=1_000_000, verbose=0)
"""


@pytest.mark.parametrize("mpi", available())
def test_a_rank_whose_watch_has_ended_ends_and_says_so(tmp_path, mpi):
    (tmp_path / "script.py").write_text(WATCH_DIES)
    ended = mpirun(mpi, 2, tmp_path / "script.py")
    assert ended.code
    assert "The thread 'distrib-watch' has ended" in ended.output
    assert "cannot be heard any more (RuntimeError('a bug of ours'))" in ended.output
    assert ended.at - ended.fired_at < 5
    assert not ended.survivors


def test_cuts_do_not_pile_up_behind_a_slow_disk(tmp_path, monkeypatch):
    """While one is written none but those at borders are made: what waits takes memory."""
    write, written, waiting = saver_module.write_checkpoint, [], []

    def slow(path, files, manifest):
        time.sleep(0.2)
        write(path, files, manifest)
        written.append(manifest["sequencer"]["version"])

    add = Saver.add

    def counted(saver, cut, ps, vectors):
        add(saver, cut, ps, vectors)
        waiting.append(len(saver._parts) + (saver._ready is not None))

    monkeypatch.setattr(saver_module, "write_checkpoint", slow)
    monkeypatch.setattr(Saver, "add", counted)

    def body(strategy):
        model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(3,))])
        model.compile("sgd", "mse")
        model.fit(np.ones((400, 3)), np.zeros((400, 1)), batch_size=4, epochs=2, verbose=0)

    on_workers(1, body, num_ps=2, checkpoints=Checkpoints(tmp_path, every=1))
    assert max(waiting) <= 2, "the one that is collected, and a border"
    assert 4 <= len(written) < 40
