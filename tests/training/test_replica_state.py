"""State that each replica holds for itself is the chief's, or a difference is an error that names the replica."""

import logging

import numpy as np
import pytest
from helpers import mpi
from helpers.places import PLACES, everywhere
from helpers.replicas import difference, in_one_process

import distrib
from distrib import callbacks, layers

rng = np.random.default_rng(8)
X, Y = rng.normal(size=(40, 5)), rng.integers(0, 3, 40)
SEVERAL = ["mirrored-2", "mirrored-3", "central-2", "central-3"]


def make_model(optimizer):
    model = distrib.Sequential(
        [layers.Input((5,)), layers.Dense(6, activation="tanh"), layers.Dense(3, activation="softmax")],
        dtype="float64",
        seed=4,
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


class On(callbacks.Callback):
    """Does something to the model in a hook, on one rank or on all."""

    def __init__(self, hook, at, rank, action):
        super().__init__()
        self.at, self.rank, self.action = at, rank, action
        setattr(self, hook, self._act)

    def _act(self, at, logs=None):
        if at == self.at and self.rank in (None, self.model.strategy.replica_id):
            self.action(self.model)


def train(hook, at, rank, action, **arguments):
    def body(strategy):
        model = make_model(distrib.optimizers.SGD(0.1, momentum=0.9))
        called = [On(hook, at, rank, action)]
        history = model.fit(X, Y, batch_size=8, epochs=3, verbose=0, callbacks=called, **arguments)
        return model.get_weights(), history.history, model.optimizer.learning_rate

    return body


def set_rate(model):
    model.optimizer.learning_rate = 0.01


def set_momentum(model):
    model.optimizer.momentum = 0.1


def set_values(model):
    model.set_weights([np.full_like(each, 0.1) for each in model.get_weights()])


def add_to_values(model):
    model.variables[1].assign_add(np.ones(6))


def count_anew(model):
    model.optimizer.iterations = 0


def stop(model):
    model.stop_training = True


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("hook", "at"), [("on_epoch_begin", 1), ("on_epoch_end", 0)])
@pytest.mark.parametrize("rank", [0, None])
def test_the_chiefs_learning_rate_is_everybodys(place, hook, at, rank):
    expected, history, _ = in_one_process(train(hook, at, None, set_rate))
    unchanged, *_ = in_one_process(train(hook, 99, None, set_rate))
    assert difference(expected, unchanged) > 1e-3
    for weights, of_replica, rate in everywhere(place, train(hook, at, rank, set_rate)):
        assert difference(weights, expected) <= 1e-12
        np.testing.assert_allclose(of_replica["loss"], history["loss"], rtol=1e-9)
        assert rate == 0.01


@pytest.mark.parametrize("place", SEVERAL)
def test_the_chiefs_learning_rate_within_an_epoch(place):
    expected, *_ = in_one_process(train("on_train_batch_begin", 3, None, set_rate))
    for weights, _, _ in everywhere(place, train("on_train_batch_begin", 3, 0, set_rate)):
        assert difference(weights, expected) <= 1e-12


@pytest.mark.parametrize("place", SEVERAL)
@pytest.mark.parametrize("hook", ["on_epoch_end", "on_train_batch_end", "on_epoch_begin"])
@pytest.mark.parametrize(
    ("action", "words"),
    [
        (set_rate, r"Rank 1 has set learning_rate=0.01 at step \d+, where rank 0 has 0.1"),
        (set_momentum, r"optimizer.momentum: rank 0: 0.9, rank 1: 0.1"),
        (set_values, r"rank 1 and rank 0 have assigned different values"),
        (add_to_values, r"rank 1 and rank 0 have assigned different values"),
        (count_anew, r"Rank 1 has optimizer.iterations=[01] at step \d+"),
    ],
)
def test_what_another_rank_sets_for_itself_is_an_error(place, hook, action, words):
    with pytest.raises(distrib.ProtocolError, match=words):
        everywhere(place, train(hook, 1, 1, action))


@pytest.mark.parametrize("place", SEVERAL)
def test_values_that_the_chief_alone_assigns_are_an_error(place):
    with pytest.raises(distrib.ProtocolError, match=r"rank \d.* and rank 0 have assigned different values"):
        everywhere(place, train("on_epoch_end", 0, 0, set_values))


@pytest.mark.parametrize(
    ("place", "action"),
    [*((place, set_rate) for place in PLACES), *((place, set_momentum) for place in SEVERAL)],
)
def test_what_all_ranks_set_alike_is_what_one_process_does(place, action):
    expected, *_ = in_one_process(train("on_epoch_end", 0, None, action))
    for weights, _, _ in everywhere(place, train("on_epoch_end", 0, None, action)):
        assert difference(weights, expected) <= 1e-12


@pytest.mark.parametrize("place", ["mirrored-2", "mirrored-3"])
def test_values_that_all_ranks_assign_alike_are_trained_on(place):
    expected, *_ = in_one_process(train("on_epoch_end", 0, None, set_values))
    for weights, _, _ in everywhere(place, train("on_epoch_end", 0, None, set_values)):
        assert difference(weights, expected) <= 1e-12


@pytest.mark.parametrize("place", SEVERAL)
@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_train_batch_begin"])
@pytest.mark.parametrize("rank", [0, 1, None])
def test_one_rank_that_stops_after_a_batch_stops_all(place, hook, rank):
    expected, history, _ = in_one_process(train(hook, 2, None, stop))
    assert len(history["loss"]) == 1
    for weights, of_replica, _ in everywhere(place, train(hook, 2, rank, stop)):
        assert difference(weights, expected) <= 1e-12
        assert len(of_replica["loss"]) == 1


def test_a_worker_is_warned_that_its_rate_does_not_count(caplog):
    with caplog.at_level(logging.WARNING, "distrib"):
        found = everywhere("ps-2", train("on_epoch_begin", 1, 1, set_rate))
    expected, *_ = in_one_process(train("on_epoch_begin", 99, None, set_rate))
    assert "worker 1 has set learning_rate=0.01, which changes nothing" in caplog.text
    for weights, _, rate in found:
        assert difference(weights, expected) <= 1e-12
        assert rate == 0.1


@pytest.mark.parametrize("place", SEVERAL)
def test_callbacks_of_one_rank_are_refused_with_advice(place):
    def body(strategy):
        model = make_model("sgd")
        called = [callbacks.CSVLogger("log.csv")] if strategy.replica_id == 0 else []
        model.fit(X, Y, verbose=0, callbacks=called)

    with pytest.raises(
        distrib.ProtocolError, match=r"callbacks.*CSVLogger[\s\S]*Pass the same callbacks on every rank"
    ):
        everywhere(place, body)


@pytest.mark.parametrize("place", SEVERAL)
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda rank, size: (X[: 40 - rank], Y[: 40 - rank]), "data is not cut by hand"),
        (lambda rank, size: (X + rank, Y), "drawn or shuffled them, use the same seed"),
    ],
)
def test_data_that_differs_is_refused_with_advice(place, data, words):
    def body(strategy):
        x, y = data(strategy.replica_id, strategy.num_replicas_in_sync)
        make_model("sgd").fit(x, y, verbose=0)

    with pytest.raises(distrib.ProtocolError, match=words) as caught:
        everywhere(place, body)
    assert caught.value.is_common


PROGRAM = """
import sys
import numpy as np, distrib
strategy = distrib.MirroredStrategy()
rank, how = strategy.replica_id, sys.argv[1]
rng = np.random.default_rng(rank if how == "unseeded" else 0)
x, y = rng.normal(size=(32, 4)), rng.integers(0, 2, 32)
with strategy.scope():
    model = distrib.Sequential([distrib.layers.Dense(2, activation="softmax", input_shape=(4,))])
    model.compile("sgd", "sparse_categorical_crossentropy")
model.fit(x, y, verbose=0)
if rank == 0 and how == "save":
    model.save(sys.argv[2])
if rank == 0 and how == "evaluate":
    model.evaluate(x, y, verbose=0)
if how == "own path":
    model.save(f"{sys.argv[2]}-{rank}")
print("ENDED WELL", flush=True)
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "train.py"
    path.write_text(PROGRAM)
    return path


@pytest.mark.parametrize("how", ["save", "evaluate"])
def test_a_call_of_one_rank_is_answered_with_how_to_call_it(mpi_name, program, how):
    ended = mpi.mpirun(mpi_name, 2, program, how, program.parent / "saved")
    assert ended.code != 0
    assert f"{how}(), which is collective: every rank calls it" in ended.output
    assert not (program.parent / "saved").exists()


def test_what_all_ranks_would_say_is_said_once(mpi_name, program):
    ended = mpi.mpirun(mpi_name, 3, program, "unseeded")
    assert ended.code != 0
    assert ended.output.count("Traceback") == 1
    assert ended.output.count("failed: ProtocolError") == 1
    assert "use the same seed on every rank" in ended.output


def test_paths_that_are_not_written_are_named(mpi_name, program, tmp_path):
    ended = mpi.mpirun(mpi_name, 2, program, "own path", tmp_path / "saved")
    assert ended.code == 0, ended.output
    assert (tmp_path / "saved-0").is_dir()
    assert not (tmp_path / "saved-1").exists()
    assert (
        f"the chief alone writes it, to {tmp_path}/saved-0. Not written: {tmp_path}/saved-1" in ended.output
    )
