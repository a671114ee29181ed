"""The TensorBoard callback: Keras' folders and tags, read back by TensorBoard's own reader; one writer."""

import json
import time

import numpy as np
import pytest
from helpers.events import files, read, scalars, text
from helpers.mpi import mpirun
from helpers.ps import on_workers
from helpers.replicas import on_replicas
from tensorboard.plugins.graph import keras_util

import distrib
from distrib import callbacks, layers

rng = np.random.default_rng(3)
X, Y = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)


def make_model():
    model = distrib.Sequential(
        [layers.Dense(5, activation="relu", input_shape=(4,)), layers.Dense(3, activation="softmax")], seed=5
    )
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return model


def fit(*called, model=None, **arguments):
    model = model or make_model()
    arguments = {"epochs": 3, "batch_size": 6, "validation_data": (X, Y), "verbose": 0} | arguments
    return model, model.fit(X, Y, callbacks=list(called), **arguments).history


def assert_history(folder, history):
    """Every value of the history is in the files, in float32, at its epoch, in Keras' place."""
    train, validation = scalars(folder / "train"), scalars(folder / "validation")
    for name, values in history.items():
        found, tag = (
            (validation, name.replace("val_", "epoch_"))
            if name.startswith("val_")
            else (train, f"epoch_{name}")
        )
        assert found[tag] == [(epoch, np.float32(value)) for epoch, value in enumerate(values)], name
    return train, validation


def test_folders_tags_steps_and_values_are_those_of_keras(tmp_path):
    """The tags and their steps are what Keras 3.15 wrote for the same calls."""
    board = callbacks.TensorBoard(tmp_path, histogram_freq=1, update_freq=2, write_steps_per_second=True)
    running = []
    look = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: running.append(dict(logs)))
    _, history = fit(board, look, epochs=2, batch_size=4)
    train, validation = assert_history(tmp_path, history)
    assert set(train) == {
        *("batch_accuracy", "batch_loss", "batch_steps_per_second"),
        *("epoch_accuracy", "epoch_loss", "epoch_learning_rate", "epoch_steps_per_second"),
        "epoch_examples_per_second",  # ours
    }
    for name in ("accuracy", "loss"):
        batches = [(step, np.float32(running[step - 1][name])) for step in (2, 4, 6, 8, 10)]
        assert train[f"batch_{name}"] == batches
        evaluated = zip((5, 10), history[f"val_{name}"], strict=True)
        assert validation[f"evaluation_{name}_vs_iterations"] == [(n, np.float32(v)) for n, v in evaluated]
    assert set(validation) == {f"epoch_{name}" for name in ("accuracy", "loss")} | {
        f"evaluation_{name}_vs_iterations" for name in ("accuracy", "loss")
    }
    tags = read(tmp_path / "train").Tags()
    assert tags["histograms"] == [
        f"sequential/{name}/histogram"
        for name in ("dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias")
    ]
    assert sorted(tags["tensors"]) == ["keras", "model/config/text_summary", "model/summary/text_summary"]
    assert all(event[0] in (2, 4, 6, 8, 10) for event in train["batch_steps_per_second"])


def test_by_default_epochs_and_the_model(tmp_path):
    model, history = fit(callbacks.TensorBoard(tmp_path))
    train, _ = assert_history(tmp_path, history)
    assert not any(tag.startswith("batch_") for tag in train)
    assert train["epoch_learning_rate"] == [(epoch, np.float32(0.001)) for epoch in range(3)]
    assert read(tmp_path / "train").Tags()["histograms"] == []
    lines = []
    model.summary(print_fn=lines.append)
    assert text(tmp_path / "train", "model/summary").split("\n") == [f"    {line}" for line in lines]
    config = json.loads(text(tmp_path / "train", "model/config"))
    assert [layer["config"]["units"] for layer in config["config"]["layers"]] == [5, 3]


def test_tensorboard_draws_the_model(tmp_path):
    fit(callbacks.TensorBoard(tmp_path))
    (event,) = read(tmp_path / "train").Tensors("keras")
    graph = keras_util.keras_model_to_graph_def(json.loads(event.tensor_proto.string_val[0]))
    assert [(node.name, list(node.input)) for node in graph.node] == [
        ("sequential/dense", []),
        ("sequential/dense_1", ["sequential/dense"]),
    ]


def test_histograms_are_of_the_weights(tmp_path):
    kernels = []
    look = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: kernels.append(model.get_weights()[0]),
    )
    model = make_model()
    fit(callbacks.TensorBoard(tmp_path, histogram_freq=2, write_graph=False), look, model=model, epochs=4)
    found = read(tmp_path / "train")
    assert found.Tags()["tensors"] == []
    events = found.Histograms("sequential/dense/kernel/histogram")
    assert [event.step for event in events] == [0, 2]
    for event in events:
        kernel = kernels[event.step]
        assert (event.histogram_value.min, event.histogram_value.max) == (kernel.min(), kernel.max())
        assert event.histogram_value.num == kernel.size
        np.testing.assert_allclose(event.histogram_value.sum, kernel.sum(dtype=np.float64))


def test_examples_per_second_are_those_of_training(tmp_path):
    """A batch takes at least 10 ms, and validation, which takes 20 ms a batch, does not count."""
    slow = callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: time.sleep(0.01),
        on_test_batch_end=lambda batch, logs: time.sleep(0.05),
    )
    fit(callbacks.TensorBoard(tmp_path, write_steps_per_second=True), slow, batch_size=4, epochs=2)
    train = scalars(tmp_path / "train")
    for (_, examples), (_, steps) in zip(
        train["epoch_examples_per_second"], train["epoch_steps_per_second"], strict=True
    ):
        assert 20 / (5 * 0.01 + 5 * 0.05) < examples <= 20 / (5 * 0.01)
        assert steps == pytest.approx(examples / 4, rel=1e-6)


def test_a_schedule_is_seen(tmp_path):
    rates = [0.5, 0.25, 0.125]
    _, history = fit(
        callbacks.LearningRateScheduler(lambda epoch: rates[epoch]), callbacks.TensorBoard(tmp_path)
    )
    train, _ = assert_history(tmp_path, history)
    assert train["epoch_learning_rate"] == list(enumerate(rates))


def test_evaluate_writes_and_closes(tmp_path):
    model, _ = fit()
    board = callbacks.TensorBoard(tmp_path)
    loss, accuracy = model.evaluate(X, Y, verbose=0, callbacks=[board])
    assert scalars(tmp_path / "validation") == {
        "evaluation_loss_vs_iterations": [(12, np.float32(loss))],
        "evaluation_accuracy_vs_iterations": [(12, np.float32(accuracy))],
    }
    assert not board.is_open


def test_an_epoch_is_in_the_file_when_it_ends(tmp_path):
    seen = []
    look = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(len(scalars(tmp_path / "train")["epoch_loss"]))
    )
    fit(callbacks.TensorBoard(tmp_path), look)
    assert seen == [1, 2, 3]


def test_files_are_closed_when_training_raises(tmp_path):
    def fail(batch, logs=None):
        if batch == 2:
            raise ValueError("a bug of the user")

    board = callbacks.TensorBoard(tmp_path, update_freq="batch")
    with pytest.raises(ValueError, match="a bug of the user"):
        fit(board, callbacks.LambdaCallback(on_train_batch_end=fail))
    assert not board.is_open
    assert [step for step, _ in scalars(tmp_path / "train")["batch_loss"]] == [1, 2, 3]
    _, history = fit(board)  # it may be used again, and writes a file of its own
    assert len(files(tmp_path / "train")) == 2
    assert len(scalars(tmp_path / "train")["epoch_loss"]) == len(history["loss"])


@pytest.mark.parametrize("kind", ["ring", "shared_memory", "central"])
def test_one_replica_writes_and_says_what_it_sent(tmp_path, kind):
    def body(strategy):
        return fit(callbacks.TensorBoard(tmp_path, histogram_freq=1))[1], strategy.counters

    results = on_replicas(2, body, kind=kind)
    train, _ = assert_history(tmp_path, results[0][0])
    assert [name.rsplit(".", 1)[1] for name in files(tmp_path)] == ["chief-0", "chief-0"]
    assert results[0][0] == results[1][0]
    seconds = sum(value for _, value in train["comm/communicating_seconds"])
    assert 0 < seconds <= results[0][1]["seconds"]["communicating"] + 1e-6
    sent = sum(value for _, value in train["comm/bytes_sent"])
    if kind == "ring":  # 43 weights of 4 bytes, half of them each way, in 12 steps
        assert 12 * 43 * 4 <= sent <= results[0][1]["bytes_sent"]
    else:
        assert sent == 0


@pytest.mark.mpi
@pytest.mark.parametrize("mpi_name", ["openmpi"], indirect=True)
def test_one_rank_writes(tmp_path, mpi_name):
    ended = mpirun(mpi_name, 2, "summaries.py", tmp_path / "run", tmp_path / "history.json")
    assert ended.code == 0, ended.output
    history = json.loads((tmp_path / "history.json").read_text())
    train, _ = assert_history(tmp_path / "run", history)
    assert [step for step, _ in train["batch_loss"]] == list(range(1, 13))
    assert len(files(tmp_path / "run" / "train")) == len(files(tmp_path / "run" / "validation")) == 1


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("share_memory", [False, True])
def test_parameter_servers_say_what_became_of_pushes(tmp_path, mode, share_memory):
    def body(strategy):
        seen = []
        look = callbacks.LambdaCallback(on_test_begin=lambda logs: seen.append(strategy.counters))
        return fit(callbacks.TensorBoard(tmp_path, update_freq="batch"), look, batch_size=4)[1], seen

    results = on_workers(2, body, 2, share_memory, mode=mode)
    train, validation = assert_history(tmp_path, results[0][0])
    assert len(files(tmp_path)) == 2
    seen = results[0][1]
    for name in ("pushed", "applied", "dropped", "scaled", "staleness_mean", "effective_batch"):
        assert train[f"ps/{name}"] == [(epoch, np.float32(each[name])) for epoch, each in enumerate(seen)]
    assert train["ps/applied"][0][1] == (10 if mode == "sync" else 5)
    for name in ("compute", "push", "pull", "barrier"):
        total = sum(value for _, value in train[f"comm/{name}_seconds"])
        assert 0 <= total <= seen[-1]["seconds"][name] + 1e-6
    assert (sum(value for _, value in train["comm/bytes_sent"]) == 0) == share_memory
    assert [step for step, _ in validation["evaluation_loss_vs_iterations"]] == [5, 10, 15]


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (
                {"update_freq": "step"},
                r'update_freq "epoch", "batch" or a number of batches. Received: \'step\'',
            ),
            ({"update_freq": 0}, "a number of batches. Received: 0"),
            ({"update_freq": 1.5}, r"a number of batches. Received: 1\.5"),
            ({"update_freq": True}, "a number of batches. Received: True"),
            ({"histogram_freq": -1}, "histogram_freq as a number of epochs, or 0. Received: -1"),
            ({"histogram_freq": "epoch"}, "histogram_freq"),
            ({"write_images": True}, "does not support write_images. Received: write_images=True"),
            ({"profile_batch": (1, 2)}, "does not support profile_batch"),
            ({"embeddings_freq": 1}, "does not support embeddings_freq"),
        ],
    )
    def test_arguments_that_cannot_be_right(self, arguments, said):
        with pytest.raises(distrib.ConfigError, match=said):
            callbacks.TensorBoard("logs", **arguments)

    def test_a_folder_that_cannot_be_written(self, tmp_path):
        (tmp_path / "logs").write_text("a file")
        with pytest.raises(distrib.StorageError, match="cannot be written"):
            fit(callbacks.TensorBoard(tmp_path / "logs"))
