"""IDX files, the schedule of batches, data sets in memory, and the data sets to begin with."""

import functools
import gzip
import http.server
import itertools
import shutil
import socket
import struct
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distrib import ConfigError, DataError, datasets
from distrib.base.ranges import Range
from distrib.data import builtin, download
from distrib.data.dataset import ArrayDataset, as_array
from distrib.data.idx import read_idx
from distrib.data.schedule import Schedule, permutation

F32 = np.dtype(np.float32)
CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx_header(code, shape):
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def idx_bytes(array):
    big = np.asarray(array, array.dtype.newbyteorder(">"))  # astype() of a scalar stays native
    return idx_header(CODES[array.dtype.name], array.shape) + big.tobytes()


class TestIdx:
    @pytest.mark.parametrize("compressed", [False, True])
    @pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (0, 3), ()])
    @pytest.mark.parametrize("dtype", CODES)
    def test_round_trip(self, tmp_path, dtype, shape, compressed):
        array = (
            (np.random.default_rng(0).normal(0, 30, shape) + np.zeros(shape)).astype("int16").astype(dtype)
        )
        content = idx_bytes(array)
        path = tmp_path / "file"
        path.write_bytes(gzip.compress(content) if compressed else content)
        read = read_idx(path)
        assert read.dtype == np.dtype(dtype)
        assert read.dtype.isnative
        np.testing.assert_array_equal(read, array)
        assert read.shape == shape

    GOOD = idx_bytes(np.arange(200, dtype=np.int32).reshape(10, 20))

    @pytest.mark.parametrize("compressed", [False, True])
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\0",
            b"\0\0\x08",
            b"\x01\0\x08\x01" + GOOD[4:],
            b"\0\0\x0a\x01" + GOOD[4:],
            b"\0\0\x08\xff" + GOOD[4:],
            GOOD[:7],
            GOOD[:12],
            GOOD[:-1],
            GOOD + b"\0",
            idx_header(0x08, (0xFFFFFFFF,)) + bytes(100),
            idx_header(0x0E, (0xFFFFFFFF,)) + bytes(100),
            idx_header(0x0E, (0xFFFFFFFF,) * 8) + bytes(100),
            idx_header(0x0E, (0,) + (0xFFFFFFFF,) * 7),
        ],
    )
    def test_damaged(self, tmp_path, content, compressed):
        path = tmp_path / "file"
        path.write_bytes(gzip.compress(content) if compressed else content)
        tracemalloc.start()
        try:
            with pytest.raises(DataError, match="file"):
                read_idx(path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 8 << 20

    def test_decompresses_no_more_than_declared(self, tmp_path):
        path = tmp_path / "bomb"
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(idx_header(0x08, (100,)))
            for _ in range(64):
                file.write(bytes(1 << 20))
        tracemalloc.start()
        try:
            with pytest.raises(DataError, match="Found: more"):
                read_idx(path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 4 << 20

    @pytest.mark.parametrize("at", [5, 12, 40, -10, -6, -2])
    def test_damaged_gzip(self, tmp_path, at):
        content = gzip.compress(idx_bytes(np.random.default_rng(0).integers(0, 255, 500).astype("uint8")))
        path = tmp_path / "file"
        path.write_bytes(content[:at])
        with pytest.raises(DataError):
            read_idx(path)

    @settings(max_examples=150, deadline=None)
    @given(st.data())
    def test_flipped_bits_give_the_array_or_a_data_error(self, tmp_path_factory, data):
        array = np.arange(60, dtype=np.uint8)
        content = bytearray(gzip.compress(idx_bytes(array), mtime=0))
        at = data.draw(st.integers(2, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        path = tmp_path_factory.mktemp("idx") / "file"
        path.write_bytes(content)
        try:
            read = read_idx(path)
        except DataError:
            return
        np.testing.assert_array_equal(read, array)

    def test_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            read_idx(tmp_path / "none")


sizes = {"num_examples": st.integers(1, 200), "batch_size": st.integers(1, 60)}


class TestSchedule:
    @given(**sizes, count=st.integers(1, 9), seed=st.integers(0, 2**32), shuffle=st.booleans())
    @settings(deadline=None)
    def test_each_example_once_a_pass_over_all_replicas(self, num_examples, batch_size, count, seed, shuffle):
        schedule = Schedule(num_examples, batch_size, shuffle=shuffle, seed=seed)
        for epoch in (0, 1):
            seen = []
            for pass_index, whole in schedule.epoch(epoch):
                assert pass_index == epoch
                assert 1 <= whole.size <= batch_size
                parts = [whole.part(index, count) for index in range(count)]
                assert (parts[0].begin, parts[-1].end) == whole
                assert all(a.end == b.begin for a, b in itertools.pairwise(parts))
                assert max(p.size for p in parts) - min(p.size for p in parts) <= 1
                order = schedule.order(pass_index)
                for part in parts:
                    seen += list(range(*part)) if order is None else order[part.slice].tolist()
            assert sorted(seen) == list(range(num_examples))

    @given(**sizes, steps=st.integers(1, 30), epochs=st.integers(1, 6))
    @settings(deadline=None)
    def test_steps_per_epoch_goes_on_where_the_epoch_before_stopped(
        self, num_examples, batch_size, steps, epochs
    ):
        schedule = Schedule(num_examples, batch_size, steps_per_epoch=steps)
        batches = [batch for epoch in range(epochs) for batch in schedule.epoch(epoch)]
        assert len(batches) == steps * epochs
        expected = Range(0, 0)
        pass_index = 0
        for batch in batches:
            if expected.end == num_examples:
                expected, pass_index = Range(0, 0), pass_index + 1
            expected = Range(expected.end, min(expected.end + batch_size, num_examples))
            assert batch == (pass_index, expected)

    @given(num_examples=st.integers(1, 300), seed=st.integers(0, 2**62), pass_index=st.integers(0, 999))
    @settings(deadline=None)
    def test_permutation(self, num_examples, seed, pass_index):
        order = permutation(num_examples, seed, pass_index)
        assert sorted(order.tolist()) == list(range(num_examples))
        np.testing.assert_array_equal(permutation(num_examples, seed, pass_index), order)

    def test_passes_and_seeds_have_orders_of_their_own(self):
        orders = {tuple(permutation(50, seed, index)) for seed in range(4) for index in range(4)}
        assert len(orders) == 16
        schedule = Schedule(50, 5, shuffle=True, seed=3)
        np.testing.assert_array_equal(schedule.order(2), permutation(50, 3, 2))
        np.testing.assert_array_equal(schedule.order(0), permutation(50, 3, 0))

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [((0, 1), DataError), ((1, 0), ConfigError), ((1, 1, 0), ConfigError), ((1, 1, -1), ConfigError)],
    )
    def test_arguments(self, arguments, error):
        with pytest.raises(error):
            Schedule(*arguments)


class TestArrayDataset:
    @pytest.mark.parametrize("shuffle", [False, True])
    @pytest.mark.parametrize("count", [1, 3, 8])
    def test_batches(self, shuffle, count):
        x = np.arange(23 * 2, dtype=np.uint8).reshape(23, 2)
        y, weight = np.arange(23), np.linspace(0, 1, 23)
        data = ArrayDataset(x, y, weight, F32)
        schedule = Schedule(len(data), 5, shuffle=shuffle, seed=1)
        expected = schedule.order(1) if shuffle else np.arange(23)
        seen, rows = {}, 0
        for index in range(count):
            for batch in data.batches(schedule, schedule.epoch(1), index, count):
                assert (batch.x.dtype, batch.y.dtype, batch.weight.dtype) == (F32, y.dtype, F32)
                assert len(batch.x) == len(batch.y) == len(batch.weight)
                assert batch.pass_index == 1
                own = expected[batch.position : batch.position + len(batch.x)]
                np.testing.assert_array_equal(batch.x, x[own])
                np.testing.assert_array_equal(batch.y, own)
                np.testing.assert_array_equal(batch.weight, weight[own].astype(F32))
                seen.update({batch.position + i: int(example) for i, example in enumerate(batch.y)})
                rows += len(batch.x)
        assert rows == 23
        assert [seen[position] for position in range(23)] == expected.tolist()

    def test_empty_parts_keep_shape_and_dtype(self):
        data = ArrayDataset(np.zeros((2, 4, 3), np.uint8), np.zeros(2, int), None, F32)
        for shuffle in (False, True):
            schedule = Schedule(2, 2, shuffle=shuffle)
            (batch,) = data.batches(schedule, schedule.epoch(0), 2, 3)
            assert (batch.x.shape, batch.x.dtype, batch.y.shape) == ((0, 4, 3), F32, (0,))
            assert batch.weight is None

    def test_no_copy_where_none_is_needed(self):
        x = np.zeros((6, 2), F32)
        data = ArrayDataset(x, np.zeros(6), None, F32)
        schedule = Schedule(6, 2)
        batches = data.batches(schedule, schedule.epoch(0), 0, 1)
        assert all(np.shares_memory(batch.x, x) for batch in batches)

    @pytest.mark.parametrize("value", [[[1, 2], [3]], ["a"], 3.0, [None], [1j], object()])
    def test_as_array_refuses(self, value):
        with pytest.raises(DataError, match=r"^x "):
            as_array(value, "x")

    def test_as_array_takes_lists(self):
        np.testing.assert_array_equal(as_array([[1, 2], [3, 4]], "x"), [[1, 2], [3, 4]])


def test_digits():
    (x_train, y_train), (x_test, y_test) = datasets.digits()
    assert (x_train.shape, y_train.shape) == ((1437, 8, 8), (1437,))
    assert (x_test.shape, y_test.shape) == ((360, 8, 8), (360,))
    assert {a.dtype.name for a in (x_train, y_train, x_test, y_test)} == {"uint8"}
    assert (x_train.min(), x_train.max()) == (0, 16)
    assert (x_test.min(), x_test.max()) == (0, 16)
    counts = np.bincount(np.concatenate([y_train, y_test]))
    # images of each class
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


class TestFashionMnist:
    FILES = tuple(builtin.FASHION_MNIST_FILES)

    def check(self, data):
        (x_train, y_train), (x_test, y_test) = data
        assert (x_train.shape, x_test.shape) == ((60_000, 28, 28), (10_000, 28, 28))
        assert np.bincount(y_train).tolist() == [6000] * 10
        assert np.bincount(y_test).tolist() == [1000] * 10

    @pytest.fixture
    def cache(self, tmp_path, monkeypatch):
        """An empty cache, on a machine without Debian's package."""
        monkeypatch.setenv("DISTRIB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(builtin, "DEBIAN_FASHION_MNIST", tmp_path / "none")
        monkeypatch.setattr(download, "TIMEOUT_S", 5.0)
        yield tmp_path / "cache" / "fashion-mnist"
        monkeypatch.undo()

    @pytest.fixture
    def served(self, tmp_path):
        """A folder, its address, and the paths that were asked for."""
        folder = tmp_path / "served"
        folder.mkdir()
        asked = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *arguments):
                asked.append(self.path)

        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()
        server.server_close()
        thread.join()

    def test_installed(self, fashion_mnist):
        self.check(fashion_mnist)

    def test_download_once(self, fashion_mnist, cache, served):
        folder, url, asked = served
        for name in self.FILES:
            (folder / name).symlink_to(REAL_FOLDER / name)
        self.check(datasets.fashion_mnist(url=url))
        assert asked == [f"/{name}" for name in self.FILES]
        assert sorted(path.name for path in cache.iterdir()) == sorted(self.FILES)
        self.check(datasets.fashion_mnist(url="http://127.0.0.1:9/"))
        assert len(asked) == 4

    @pytest.mark.parametrize(
        "damage", ["other content", "not gzip", "cut gzip", "flipped", "absent", "empty"]
    )
    def test_damaged_download_leaves_nothing(self, cache, served, damage):
        folder, url, _ = served
        good = gzip.compress(idx_bytes(np.random.default_rng(0).integers(0, 255, 5000).astype("uint8")))
        flipped = bytearray(good)
        flipped[20] ^= 0xFF
        content = {
            "other content": good,
            "not gzip": b"<html>not found</html>",
            "cut gzip": good[:-20],
            "flipped": bytes(flipped),
            "empty": b"",
        }
        if damage != "absent":
            (folder / self.FILES[0]).write_bytes(content[damage])
        with pytest.raises(DataError):
            datasets.fashion_mnist(url=url)
        assert list(cache.iterdir()) == []

    def test_too_large_download(self, cache, served, monkeypatch):
        folder, url, _ = served
        monkeypatch.setattr(download, "MAX_DOWNLOAD_BYTES", 1000)
        (folder / self.FILES[0]).write_bytes(bytes(5000))
        with pytest.raises(DataError, match="larger than 1000 bytes"):
            datasets.fashion_mnist(url=url)
        assert list(cache.iterdir()) == []

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nonly this",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nonly",
            b"nonsense\r\n\r\n",
            b"",
        ],
    )
    def test_broken_answers(self, cache, answer):
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with pytest.raises(DataError, match=r"127\.0\.0\.1|is not an IDX file"):
                datasets.fashion_mnist(url=f"http://127.0.0.1:{listener.getsockname()[1]}/")
        finally:
            thread.join()
            listener.close()
        assert list(cache.iterdir()) == []

    def test_nobody_listens(self, cache):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        with pytest.raises(DataError, match="Cannot download"):
            datasets.fashion_mnist(url=f"http://127.0.0.1:{port}/")
        assert list(cache.iterdir()) == []

    def test_folder_without_the_files(self, tmp_path):
        with pytest.raises(DataError, match="Missing: train-images"):
            datasets.fashion_mnist(tmp_path)

    def test_folder_with_other_content(self, fashion_mnist, tmp_path):
        for name in self.FILES:
            shutil.copyfile(REAL_FOLDER / self.FILES[1], tmp_path / name)
        with pytest.raises(DataError, match="SHA-256"):
            datasets.fashion_mnist(tmp_path)


REAL_FOLDER = builtin.DEBIAN_FASHION_MNIST
