"""Windows of a series and padded sequences, with the numbers of Keras' documentation and of its code."""

import numpy as np
import pytest

import distrib
from distrib import keras


def found(dataset):
    return list(dataset.as_numpy_iterator())


def test_the_example_of_keras():
    """input_data[:-10], targets = data[10:]: windows of ten, and the step that follows each."""
    data = np.arange(100)
    dataset = keras.utils.timeseries_dataset_from_array(data[:-10], data[10:], sequence_length=10)
    (inputs, targets), *others = found(dataset)
    assert not others
    assert inputs.shape == (81, 10)
    np.testing.assert_array_equal(inputs[0], data[:10])
    assert targets[0] == data[10]
    np.testing.assert_array_equal(targets, inputs[:, -1] + 1)


@pytest.mark.parametrize("length", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("rate", [1, 2])
@pytest.mark.parametrize("limits", [(None, None), (2, None), (3, 17)])
def test_windows(length, stride, rate, limits):
    data = np.arange(20) * 1.5
    begin, end = limits[0] or 0, limits[1] or 20
    dataset = keras.utils.timeseries_dataset_from_array(
        data, data, length, stride, rate, batch_size=None, start_index=limits[0], end_index=limits[1]
    )
    expected = []
    for first in range(begin, end - (length - 1) * rate, stride):
        expected.append(([data[first + step * rate] for step in range(length)], data[first]))
    for (window, target), (steps, label) in zip(found(dataset), expected, strict=True):
        assert window.tolist() == steps
        assert target == label


def test_shuffled_windows_without_targets():
    made = keras.utils.timeseries_dataset_from_array(
        np.arange(30), None, 4, batch_size=5, shuffle=True, seed=3
    )
    windows = np.concatenate(found(made))
    assert sorted(windows[:, 0].tolist()) == list(range(27))
    assert windows[:, 0].tolist() != list(range(27))
    np.testing.assert_array_equal(windows - windows[:, :1], np.tile(np.arange(4), (27, 1)))


def test_windows_that_cannot_be():
    make = keras.utils.timeseries_dataset_from_array
    with pytest.raises(distrib.ConfigError, match="1 <= sequence_length"):
        make(np.arange(5), None, 0)
    assert found(make(np.arange(5), None, 9)) == [], "as in Keras"
    with pytest.raises(distrib.ConfigError, match="end_index <= 4"):
        make(np.arange(5), None, 2, end_index=9)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[0, 0, 1], [0, 2, 3], [4, 5, 6]]),
        ({"value": -1}, [[-1, -1, 1], [-1, 2, 3], [4, 5, 6]]),
        ({"padding": "post"}, [[1, 0, 0], [2, 3, 0], [4, 5, 6]]),
        ({"maxlen": 2}, [[0, 1], [2, 3], [5, 6]]),
        ({"maxlen": 2, "truncating": "post"}, [[0, 1], [2, 3], [4, 5]]),
        ({"maxlen": 4, "padding": "post"}, [[1, 0, 0, 0], [2, 3, 0, 0], [4, 5, 6, 0]]),
    ],
)
def test_pad_sequences(options, expected):
    """The example of Keras' documentation, and its options."""
    made = keras.utils.pad_sequences([[1], [2, 3], [4, 5, 6]], **options)
    assert made.dtype == np.int32
    assert made.tolist() == expected


def test_pad_sequences_of_rows_and_what_it_refuses():
    made = keras.utils.pad_sequences([[], [[1.5, 2.5]]], maxlen=2, dtype="float64")
    assert made.tolist() == [[[0, 0], [0, 0]], [[0, 0], [1.5, 2.5]]]
    with pytest.raises(distrib.ConfigError, match="Expected padding to be"):
        keras.utils.pad_sequences([[1]], padding="middle")
    with pytest.raises(distrib.DataError, match="of one shape"):
        keras.utils.pad_sequences([[[1, 2]], [[1]]])
