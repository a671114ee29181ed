"""`distrib.data.Dataset`: the elements and the order of `tf.data`, and what is computed for them."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.pipelines import applied, drawn, outcome

import distrib
import distrib.tf as tf
from distrib.data import AUTOTUNE, INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Dataset, TensorSpec

RECORDED = json.loads((Path(__file__).parent / "recorded_pipelines.json").read_text())


def values(dataset):
    return [each.tolist() for each in dataset.as_numpy_iterator()]


@pytest.mark.parametrize(("seed", "steps", "expected"), RECORDED, ids=[str(seed) for seed, *_ in RECORDED])
def test_pipelines_that_tensorflow_has_run(seed, steps, expected):
    """Recorded by tests/peers/programs/tf_data.py; tests/peers runs others against TensorFlow itself."""
    assert steps == drawn(seed), "recorded for other pipelines"
    found = outcome(applied(Dataset, steps, "int64", lambda x: np.repeat(x, x % 4 + 1)))
    assert found["elements"] == expected["elements"]
    assert found["cardinality"] in (expected["cardinality"], UNKNOWN_CARDINALITY)


class TestShuffle:
    @pytest.mark.parametrize("size", [1, 3, 10, 100])
    @pytest.mark.parametrize("source", ["range", "generator", "repeated"])
    def test_each_element_once_and_none_before_its_time(self, size, source):
        made = Dataset.range(50)
        if source == "generator":
            made = Dataset.from_generator(lambda: iter(range(50)))
        elif source == "repeated":
            made = Dataset.range(10).map(lambda x: x).repeat(5).enumerate().map(lambda n, x: n)
        order = values(made.shuffle(size, seed=4))
        assert sorted(order) == list(range(50))
        assert all(number < place + size for place, number in enumerate(order)), "drawn from the buffer"
        assert size < 3 or order != list(range(50))

    def test_a_new_order_for_each_pass_the_same_in_each_run(self):
        first, second = (Dataset.range(30).shuffle(30, seed=1) for _ in range(2))
        orders = [values(first) for _ in range(3)]
        assert orders == [values(second) for _ in range(3)]
        assert orders[0] != orders[1] != orders[2]
        fixed = Dataset.range(30).shuffle(30, seed=1, reshuffle_each_iteration=False)
        assert values(fixed) == values(fixed)
        epochs = values(Dataset.range(30).shuffle(30).repeat(2))
        assert epochs[:30] != epochs[30:]
        assert sorted(epochs[:30]) == sorted(epochs[30:])

    def test_the_global_seed(self):
        def order():
            return values(Dataset.range(30).shuffle(30))

        tf.random.set_seed(1)
        one = order()
        tf.random.set_seed(2)
        two = order()
        tf.random.set_seed(1)
        assert order() == one != two

    def test_two_shuffles_are_two_orders(self):
        pairs = Dataset.zip((Dataset.range(20).shuffle(20), Dataset.range(20).shuffle(20)))
        assert any(int(a) != int(b) for a, b in pairs)

    def test_uniform(self):
        counts = np.zeros((4, 4))
        for seed in range(2000):
            for place, number in enumerate(values(Dataset.range(4).shuffle(4, seed=seed))):
                counts[place, number] += 1
        assert abs(counts - 500).max() < 110, "5 standard deviations"


class TestWhatIsComputed:
    def test_map_is_called_for_what_is_used(self):
        calls = []
        made = (
            Dataset.range(100).map(lambda x: calls.append(int(x)) or x).shuffle(100, seed=1).batch(10).take(2)
        )
        found = np.concatenate(list(made))
        assert sorted(calls) == sorted(found.tolist())

    def test_cache_computes_once_and_keeps_the_order(self):
        calls = []
        made = Dataset.range(10).shuffle(10).map(lambda x: calls.append(1) or x).cache()
        first = values(made)
        assert values(made) == first
        assert len(calls) == 10
        assert sorted(values(made.take(3).concatenate(made.skip(3)))) == sorted(first)

    def test_cache_in_a_file(self, tmp_path):
        def made():
            return Dataset.range(6).map(lambda x: (x, {"a": np.full(int(x), 2.5)})).cache(tmp_path / "kept")

        first = list(made().as_numpy_iterator())
        calls = []
        again = Dataset.range(6).map(lambda x: calls.append(1) or x).cache(tmp_path / "kept")
        second = list(again.as_numpy_iterator())
        assert not calls
        for (a, b), (c, d) in zip(first, second, strict=True):
            assert a == c
            np.testing.assert_array_equal(b["a"], d["a"])
        assert [each.name for each in tmp_path.iterdir()] == ["kept.npz"]
        (tmp_path / "kept.npz").write_bytes(b"no such file")
        with pytest.raises(distrib.StorageError, match="Remove it"):
            values(again)

    @pytest.mark.parametrize("ahead", [0, 3])
    def test_threads_end_and_errors_arrive(self, ahead):
        def fails(x):
            if x == 17:
                raise KeyError("no such word")
            return x

        made = Dataset.range(100).map(fails, num_parallel_calls=3).batch(10).prefetch(ahead)
        with pytest.raises(distrib.DataError, match=r"failed at element 17: KeyError: 'no such word'"):
            list(made)
        before = threading.active_count()
        iterator = iter(Dataset.range(10**6).map(lambda x: x, num_parallel_calls=AUTOTUNE).prefetch(2))
        next(iterator)
        iterator.close()
        deadline = time.monotonic() + 5
        while threading.active_count() > before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert threading.active_count() <= before

    def test_threads_keep_the_order_and_share_the_work(self):
        names, barrier = set(), threading.Barrier(3, timeout=10)

        def wait(x):
            names.add(threading.current_thread().name)
            if x < 3:
                barrier.wait()  # passes only if three are computed at a time
            return x

        assert values(Dataset.range(40).map(wait, num_parallel_calls=3).batch(40)) == [list(range(40))]
        assert len(names) == 3

    def test_prefetch_reads_ahead(self):
        read = []
        made = Dataset.from_generator(lambda: (read.append(n) or n for n in range(50))).prefetch(4)
        iterator = iter(made)
        next(iterator)
        deadline = time.monotonic() + 5
        while len(read) < 5 and time.monotonic() < deadline:
            time.sleep(0.005)
        assert 5 <= len(read) <= 7
        iterator.close()

    def test_memory_is_mapped_and_not_copied(self, tmp_path):
        np.save(tmp_path / "x.npy", np.arange(40.0).reshape(20, 2))
        x = np.load(tmp_path / "x.npy", mmap_mode="r")
        batch = next(iter(Dataset.from_tensor_slices(x).batch(4)))
        assert np.shares_memory(batch, x)


class TestElements:
    def test_structures(self):
        made = Dataset.from_tensor_slices(({"a": np.arange(4), "b": np.ones((4, 2))}, np.arange(4) * 10))
        x, y = next(iter(made.batch(3)))
        assert y.numpy().tolist() == [0, 10, 20]
        assert x["b"].shape == (3, 2)
        assert made.element_spec == (
            {"a": TensorSpec((), "int64"), "b": TensorSpec((2,), "float64")},
            TensorSpec((), "int64"),
        )
        assert made.batch(3).element_spec[1] == TensorSpec((None,), "int64")
        assert Dataset.from_tensors((1.5, 2)).element_spec == (
            TensorSpec((), "float32"),
            TensorSpec((), "int32"),
        )

    def test_lengths(self):
        assert len(Dataset.range(10).batch(3)) == 4
        assert len(Dataset.range(10).batch(3, drop_remainder=True)) == 3
        assert Dataset.range(3).repeat().cardinality() == INFINITE_CARDINALITY
        assert Dataset.range(3).filter(lambda x: True).cardinality() == UNKNOWN_CARDINALITY
        with pytest.raises(TypeError, match="infinite"):
            len(Dataset.range(3).repeat())
        assert bool(Dataset.range(0))

    def test_reduce(self):
        assert int(Dataset.range(5).reduce(np.int64(0), lambda total, x: total + x)) == 10

    def test_padded_batch(self):
        made = (
            Dataset.range(1, 5)
            .map(lambda x: (np.full(int(x), x), x))
            .padded_batch(3, padded_shapes=([4], []), padding_values=(-1, None))
        )
        first, _ = list(made.as_numpy_iterator())
        assert first[0].tolist() == [[1, -1, -1, -1], [2, 2, -1, -1], [3, 3, 3, -1]]
        assert first[1].tolist() == [1, 2, 3]

    def test_names_of_files_are_elements(self, tmp_path):
        for number in range(3):
            (tmp_path / f"{number}.txt").write_text(str(number * 10))
        made = Dataset.list_files(tmp_path / "*.txt", shuffle=False).map(
            lambda name: int(Path(str(name)).read_text())
        )
        assert values(made) == [0, 10, 20]
        assert (
            sorted(values(Dataset.list_files(str(tmp_path / "*.txt")).map(len)))
            == [len(str(tmp_path)) + 6] * 3
        )

    def test_windows_of_pairs(self):
        made = Dataset.zip((Dataset.range(5), Dataset.range(10, 15))).window(2, drop_remainder=True)
        found = made.flat_map(lambda a, b: Dataset.zip((a.batch(2), b.batch(2))))
        assert [(a.tolist(), b.tolist()) for a, b in found.as_numpy_iterator()] == [
            ([0, 1], [10, 11]),
            ([2, 3], [12, 13]),
        ]


class TestErrors:
    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda: Dataset.from_tensor_slices((np.ones(3), np.ones(4))), "arrays of one length"),
            (lambda: Dataset.from_tensor_slices(np.float32(1)), "Use from_tensors"),
            (lambda: Dataset.range(5).batch(0), "batch_size >= 1"),
            (lambda: Dataset.range(5).shuffle("all"), "buffer_size"),
            (lambda: Dataset.range(5).shard(2, 2), "0 <= index < num_shards"),
            (lambda: Dataset.range(5).map(3), "map expects a function"),
            (lambda: Dataset.range(5).batch(2, True, foo=1), "foo"),
            (lambda: Dataset.from_generator([1, 2]), "lambda"),
            (lambda: Dataset.range(3).concatenate([1]), "Expected a Dataset"),
            (lambda: Dataset.zip(3), "zip expects data sets"),
            (lambda: Dataset.list_files("no/such/*.png"), "No files match"),
            (lambda: list(Dataset.range(4).map(lambda x: np.ones(int(x))).batch(2)), "padded_batch"),
            (lambda: list(Dataset.range(4).flat_map(lambda x: x)), "Expected a Dataset"),
            (lambda: list(Dataset.range(4).unbatch()), "components with rows"),
            (lambda: list(Dataset.range(4).filter(lambda x: 1 / (int(x) - 2))), "filter failed at element 2"),
        ],
    )
    def test_a_sentence(self, make, words):
        with pytest.raises((distrib.ConfigError, distrib.DataError), match=words):
            make()

    def test_generators(self):
        def fails():
            yield 1
            raise OSError("no such file")

        with pytest.raises(distrib.DataError, match="failed at element 1: OSError: no such file"):
            list(Dataset.from_generator(fails))
        with pytest.raises(distrib.DataError, match=r"Element 1 .*float64"):
            list(Dataset.from_generator(lambda: iter([np.int64(1), np.float64(2.5)])))
        with pytest.raises(distrib.DataError, match=r"Element 1 .*one structure"):
            list(Dataset.from_generator(lambda: iter([(1, 2), 3])))
        signature = (TensorSpec((2,), "float32"), TensorSpec((), "int64"))
        good = Dataset.from_generator(lambda: iter([([1.0, 2.0], 3)]), output_signature=signature)
        x, y = next(iter(good))
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        with pytest.raises(distrib.DataError, match=r"Element 0 .*expected TensorSpec\(shape=\(2,\)"):
            list(Dataset.from_generator(lambda: iter([([1.0], 3)]), output_signature=signature))

    def test_names_that_there_are_not(self):
        for name in ("TFRecordDataset", "TextLineDataset"):
            with pytest.raises(ImportError, match=f"no {name}: "):
                getattr(tf.data, name)
