"""Batches by their numbers, windows of series, halves of data sets and padded sequences."""

import tracemalloc

import numpy as np
import pytest
from helpers.replicas import difference, in_one_process, on_replicas

import distrib
from distrib import keras
from distrib.data import Dataset

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(11, 3)), RNG.normal(size=(11, 1))


class Rows(keras.utils.PyDataset):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.calls = []

    def __len__(self):
        return 3

    def __getitem__(self, index):
        self.calls.append(index)
        rows = slice(4 * index, 4 * index + 4)
        return X[rows], Y[rows]

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")


def model_of(shape=(3,)):
    model = distrib.Sequential(
        [distrib.Input(shape), distrib.layers.Flatten(), distrib.layers.Dense(1)], dtype="float64"
    )
    model.compile(distrib.optimizers.SGD(0.1, momentum=0.9), "mse")
    return model


@pytest.mark.parametrize("workers", [1, 3])
def test_replicas_train_on_batches_by_number(workers):
    def train(strategy):
        data, model = Rows(workers=workers, max_queue_size=2), model_of()
        model.fit(data, epochs=2, verbose=0)
        return model.get_weights(), data.calls

    reference = model_of()
    reference.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    for num_replicas in (1, 2, 3):
        found = [in_one_process(train)] if num_replicas == 1 else on_replicas(num_replicas, train)
        for weights, calls in found:
            assert difference(weights, reference.get_weights()) <= 1e-12
            assert [each for each in calls[1:] if isinstance(each, int)] == [0, 1, 2] * 2
            assert [each for each in calls if isinstance(each, str)] == ["begin", "end"] * 2


def test_loops_of_ones_own_and_what_is_missing():
    data = Rows()
    assert len(list(data)) == data.num_batches == 3
    assert keras.utils.Sequence is keras.utils.PyDataset
    with pytest.raises(distrib.ConfigError, match="Empty needs a method __len__, or a property num_batches"):
        list(type("Empty", (keras.utils.PyDataset,), {})())
    with pytest.raises(distrib.ConfigError, match="needs a method __getitem__"):
        list(type("Empty", (keras.utils.PyDataset,), {"__len__": lambda self: 1})())

    class Forgotten(Rows):
        def __init__(self):
            self.calls = []

    in_one_process(lambda strategy: model_of().fit(Forgotten(), verbose=0))

    class Endless(Rows):
        num_batches = None

        def __getitem__(self, index):
            return super().__getitem__(index % 3)

    model_of().fit(Endless(), steps_per_epoch=4, verbose=0)


def test_replicas_train_on_windows_of_a_series(tmp_path):
    np.save(tmp_path / "series.npy", RNG.normal(size=(40, 2)))
    targets = RNG.normal(size=(40, 1))

    def train(strategy):
        series = np.load(tmp_path / "series.npy", mmap_mode="r", allow_pickle=False)
        data = keras.utils.timeseries_dataset_from_array(
            series, targets, 5, sequence_stride=2, batch_size=4, shuffle=True, end_index=38
        )
        model = model_of((5, 2))
        model.fit(data, epochs=2, verbose=0)
        return model.get_weights()

    reference = in_one_process(train)
    for num_replicas in (2, 3):
        for weights in on_replicas(num_replicas, train):
            assert difference(weights, reference) <= 1e-12


def test_windows_are_cut_when_they_are_used():
    series = np.zeros((200_000, 4), np.float32)
    tracemalloc.start()
    data = keras.utils.timeseries_dataset_from_array(series, None, 500, batch_size=8)
    first = next(data.as_numpy_iterator())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert first.shape == (8, 500, 4)
    assert peak < 8e6, "all windows would be 1.6 GB"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sequence_length": 0}, "sequence_length"),
        ({"sequence_stride": 0}, "1 <= sequence_stride <= 10"),
        ({"sampling_rate": 11}, "1 <= sampling_rate <= 10"),
        ({"start_index": 11}, "0 <= start_index <= 10"),
        ({"start_index": 5, "end_index": 5}, "6 <= end_index <= 10"),
        ({"format": "grain"}, "format='tf'"),
    ],
)
def test_windows_that_do_not_fit(arguments, words):
    with pytest.raises(distrib.ConfigError, match=words):
        keras.utils.timeseries_dataset_from_array(X, Y, **{"sequence_length": 2, **arguments})


def values(dataset):
    return [np.asarray(each).tolist() for each in dataset.as_numpy_iterator()]


@pytest.mark.parametrize(
    ("sizes", "left", "right"),
    [
        ({"left_size": 0.3}, [0, 1, 2], [3, 4, 5, 6, 7, 8, 9]),
        ({"right_size": 2}, [0, 1, 2, 3, 4, 5, 6, 7], [8, 9]),
        ({"left_size": 2, "right_size": 0.35}, [0, 1], [6, 7, 8, 9]),
    ],
)
def test_the_first_and_the_last_examples(sizes, left, right):
    for data in (np.arange(10), Dataset.range(10), Dataset.range(10).filter(lambda x: True).prefetch(2)):
        found = keras.utils.split_dataset(data, **sizes)
        assert [values(each) for each in found] == [left, right]
    batched = keras.utils.split_dataset(Dataset.range(10).batch(3).prefetch(1), **sizes)
    assert [np.concatenate(values(each)).tolist() for each in batched] == [left, right]
    assert [len(each) for each in batched] == [-(-len(left) // 3), -(-len(right) // 3)]


def test_no_example_is_in_both_halves():
    """Also of data that is shuffled anew in every pass, and whichever passes of the halves go together."""
    shuffled = Dataset.range(20).shuffle(20)
    for data, arguments in (
        (shuffled, {}),
        (shuffled, {"shuffle": True}),
        (np.arange(20), {"shuffle": True, "seed": 4}),
    ):
        left, right = keras.utils.split_dataset(data, left_size=0.5, **arguments)
        passes = [values(left), values(left), values(right)]
        assert passes[0] == passes[1] != sorted(passes[0])
        assert sorted(passes[0] + passes[2]) == list(range(20))


def test_halves_compute_what_they_use():
    computed = []
    data = Dataset.range(10).map(lambda x: computed.append(int(x)) or x).batch(4)
    left, _ = keras.utils.split_dataset(data, left_size=3)
    values(left)
    assert computed == [0, 1, 2]
    pairs = keras.utils.split_dataset([X, Y], right_size=4)[1]
    x, y = zip(*pairs.as_numpy_iterator(), strict=True)
    np.testing.assert_array_equal(np.stack(x), X[-4:])
    np.testing.assert_array_equal(np.stack(y), Y[-4:])


@pytest.mark.parametrize(
    ("data", "sizes", "words"),
    [
        (X, {}, "left_size, right_size or both"),
        (X, {"left_size": 11}, "from 1 to 10"),
        (X, {"right_size": 1.5}, "a fraction"),
        (X, {"left_size": 6, "right_size": 6}, "11 examples cannot be split into 6 and 6"),
        (X, {"left_size": 0.01}, "into 0 and 11"),
        (X, {"left_size": "all"}, "left_size='all'"),
        (3, {"left_size": 1}, "a Dataset, an array"),
        ([X, Y[:4]], {"left_size": 1}, "one length"),
        (Dataset.range(3).repeat(), {"left_size": 1}, "repeats without end"),
    ],
)
def test_what_cannot_be_split(data, sizes, words):
    with pytest.raises((distrib.ConfigError, distrib.DataError), match=words):
        keras.utils.split_dataset(data, **sizes)


def test_padded_sequences():
    pad = keras.preprocessing.sequence.pad_sequences
    assert pad([[1], [2, 3], []], padding="post", value=-1).tolist() == [[1, -1], [2, 3], [-1, -1]]
    assert pad([]).shape == (0, 0)
    for arguments, words in (
        ({"sequences": [1, 2]}, "no length"),
        ({"sequences": [[[1, 2]], [[1]]]}, r"\(1,\) in sequence 1"),
        ({"sequences": [[1]], "padding": "left"}, "'pre' or 'post'"),
        ({"sequences": [[1]], "maxlen": 0}, "maxlen >= 1"),
    ):
        with pytest.raises((distrib.ConfigError, distrib.DataError), match=words):
            pad(**arguments)
