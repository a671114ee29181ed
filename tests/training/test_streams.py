"""Data that comes in batches, in `fit`, `evaluate` and `predict`: n replicas train what one process trains."""

import threading
import time

import numpy as np
import pytest
from helpers.ps import on_workers
from helpers.replicas import KINDS, difference, in_one_process, on_replicas

import distrib
import distrib.tf as tf
from distrib import keras
from distrib.data import Dataset
from distrib.keras import layers

SIZE, BATCH = 46, 8
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(SIZE, 4)), RNG.integers(0, 3, SIZE)
WEIGHT = RNG.uniform(0.5, 2, SIZE)


def made(dropout=0.2):
    model = keras.Sequential(
        [layers.Input((4,)), layers.Dense(5, "tanh"), layers.Dropout(dropout), layers.Dense(3, "softmax")],
        dtype="float64",
        seed=1,
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def parts(size=BATCH):
    for begin in range(0, SIZE, size):
        yield X[begin : begin + size], Y[begin : begin + size]


class Batches(keras.utils.PyDataset):
    """Batches by their numbers, in another order in each epoch."""

    def __init__(self):
        super().__init__(workers=2)
        self.order, self.epochs = np.arange(SIZE), 0

    def __len__(self):
        return -(-SIZE // BATCH)

    def __getitem__(self, index):
        rows = self.order[index * BATCH : (index + 1) * BATCH]
        return X[rows], Y[rows], WEIGHT[rows]

    def on_epoch_end(self):
        self.epochs += 1
        self.order = np.random.default_rng(self.epochs).permutation(SIZE)


class Endless(keras.utils.PyDataset):
    """Batches by their numbers, without end."""

    num_batches = None

    def __getitem__(self, index):
        return X[:4], Y[:4]


def endless():
    while True:
        yield from parts()


SOURCES = {
    "slices": lambda: (Dataset.from_tensor_slices((X, Y)).batch(BATCH), {}),
    "mapped, shuffled": lambda: (
        Dataset.from_tensor_slices((X, Y)).map(lambda x, y: (2 * x, y)).shuffle(20).batch(BATCH).prefetch(2),
        {},
    ),
    "threads": lambda: (
        Dataset.from_tensor_slices((X, Y))
        .shuffle(SIZE)
        .map(lambda x, y: (2 * x, y), num_parallel_calls=2)
        .batch(BATCH),
        {},
    ),
    "remainder dropped": lambda: (
        Dataset.from_tensor_slices((X, Y)).shuffle(SIZE).batch(BATCH, drop_remainder=True),
        {},
    ),
    "repeated": lambda: (
        Dataset.from_tensor_slices((X, Y)).shuffle(SIZE).repeat().batch(BATCH),
        {"steps_per_epoch": 4},
    ),
    "weights": lambda: (Dataset.from_tensor_slices((X, Y, WEIGHT)).batch(BATCH), {}),
    "class weights": lambda: (
        Dataset.from_tensor_slices((X, Y)).batch(BATCH),
        {"class_weight": {0: 2.0, 2: 0.5}},
    ),
    "cached": lambda: (Dataset.from_tensor_slices((X, Y)).cache().shuffle(9).batch(BATCH), {}),
    "filtered": lambda: (Dataset.from_tensor_slices((X, Y)).filter(lambda x, y: y != 1).batch(BATCH), {}),
    "mapped batches": lambda: (
        Dataset.from_tensor_slices((X, Y)).batch(BATCH).map(lambda x, y: (x - x.mean(axis=0), y)),
        {},
    ),
    "from_generator": lambda: (Dataset.from_generator(parts), {}),
    "generator": lambda: (endless(), {"steps_per_epoch": 5}),
    "list": lambda: (list(parts()), {}),
    "single examples": lambda: (Dataset.from_tensor_slices((X[:7], Y[:7])).batch(1), {}),
    "batches of many sizes": lambda: (
        [(X[a:b], Y[a:b]) for a, b in ((0, 9), (9, 10), (10, 30), (30, 46))],
        {},
    ),
    "PyDataset": lambda: (Batches(), {}),
    "no weights": lambda: (((x, y, None) for _ in range(3) for x, y in parts()), {"steps_per_epoch": 6}),
    "dicts": lambda: ([{"pixels": x, "label": y} for x, y in parts()], {}),
}


def fitted(source, epochs=3, dropout=0.2):
    def body(strategy):
        data, options = SOURCES[source]()
        model = made(dropout)
        tests = Dataset.from_tensor_slices((X, Y)).batch(9)
        history = model.fit(data, epochs=epochs, verbose=0, validation_data=tests, **options).history
        return model.get_weights(), history

    return body


def same(found, expected):
    assert difference(found[0], expected[0]) < 1e-12
    for name, value in expected[1].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-12)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("num_replicas", [2, 3, 4])
def test_n_replicas_train_what_one_process_trains(num_replicas, source):
    expected = in_one_process(fitted(source))
    assert expected[1]["loss"][-1] != expected[1]["loss"][0]
    for found in on_replicas(num_replicas, fitted(source)):
        same(found, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_collectives(kind):
    expected = in_one_process(fitted("mapped, shuffled"))
    for found in on_replicas(2, fitted("mapped, shuffled"), kind=kind):
        same(found, expected)


def test_batches_of_a_dataset_are_those_of_arrays():
    def arrays(strategy):
        model = made()
        history = model.fit(
            X,
            Y,
            batch_size=BATCH,
            epochs=3,
            shuffle=False,
            verbose=0,
            validation_data=(X, Y),
            validation_batch_size=9,
        ).history
        return model.get_weights(), history

    same(in_one_process(fitted("slices")), in_one_process(arrays))


@pytest.mark.parametrize(
    "source", ["mapped, shuffled", "from_generator", "remainder dropped", "repeated", "list"]
)
@pytest.mark.parametrize("num_workers", [1, 3])
def test_parameter_servers(num_workers, source):
    """Each example once an epoch; synchronously, what one process trains."""
    expected = in_one_process(fitted(source))
    for found in on_workers(num_workers, fitted(source)):
        assert difference(found[0], expected[0]) < 1e-12
        np.testing.assert_allclose(found[1]["loss"], expected[1]["loss"], rtol=1e-12)

    def counted(strategy):
        fitted(source)(strategy)
        return strategy.counters["examples"]

    size = {"remainder dropped": 40, "repeated": 32}.get(source, SIZE)
    assert on_workers(num_workers, counted, mode="async")[0] == 3 * size


def test_each_replica_maps_its_part():
    calls = {}

    def body(strategy):
        def noted(x, y):
            calls.setdefault(threading.get_ident(), []).append(float(x[0]))
            return x, y

        data = Dataset.from_tensor_slices((X, Y)).shuffle(SIZE).map(noted).batch(BATCH)
        made().fit(data, epochs=2, verbose=0)

    on_replicas(2, body)
    first, second = calls.values()
    # One more, which shows what the examples are like; and one for each part of a batch that is empty.
    assert len(first) == len(second) == SIZE + 1
    assert len({*first[1:], *second[1:]}) == SIZE


def test_evaluate_and_predict():
    def body(strategy):
        model, data = made(), Dataset.from_tensor_slices((X, Y)).batch(9)
        outputs = model.predict(data.map(lambda x, y: x), verbose=0)
        part = model.predict(endless(), steps=2, verbose=0)
        return outputs, part, model.evaluate(data, verbose=0), model.evaluate(endless(), steps=3, verbose=0)

    expected = in_one_process(
        lambda s: (made().predict(X, verbose=0), made().evaluate(X, Y, batch_size=9, verbose=0))
    )
    for n in (1, 3):
        for outputs, part, measured, some in on_replicas(n, body):
            np.testing.assert_allclose(outputs, expected[0], rtol=1e-12)
            np.testing.assert_allclose(part, expected[0][: 2 * BATCH], rtol=1e-12)
            np.testing.assert_allclose(measured, expected[1], rtol=1e-12)
            assert len(some) == 2


def test_several_inputs_by_name_and_several_outputs():
    def body(strategy):
        a, b = layers.Input((2,), name="a"), layers.Input((2,), name="b")
        both = layers.Concatenate()([a, b])
        outputs = [layers.Dense(3, "softmax", name="kind")(both), layers.Dense(1, name="size")(both)]
        model = keras.Model([a, b], outputs, dtype="float64", seed=1)
        model.compile("sgd", {"kind": "sparse_categorical_crossentropy", "size": "mse"})
        rows = {"a": X[:, :2], "b": X[:, 2:]}, {"kind": Y, "size": X[:, :1]}
        model.fit(Dataset.from_tensor_slices(rows).batch(BATCH), epochs=2, verbose=0)
        tuples = Dataset.from_tensor_slices(((X[:, :2], X[:, 2:]), (Y, X[:, :1])))
        model.fit(tuples.batch(BATCH), epochs=1, verbose=0)
        return model.get_weights()

    expected = in_one_process(body)
    for found in on_replicas(2, body):
        assert difference(found, expected) < 1e-12


class Stop(keras.callbacks.Callback):
    """Ends the training as a signal would."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.at = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "source", ["mapped, shuffled", "repeated", "from_generator", "generator", "list", "cached"]
)
@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 3)])
def test_a_training_goes_on_in_the_midst_of_an_epoch(tmp_path, source, before, after):
    def body(strategy, stop):
        data, options = SOURCES[source]()
        model = made()
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)
        callbacks = [backup, *([Stop(1, 2)] if stop else [])]
        try:
            history = model.fit(data, epochs=3, verbose=0, callbacks=callbacks, **options).history
        except KeyboardInterrupt:
            return None
        return model.get_weights(), history

    expected = in_one_process(fitted(source))
    on_replicas(before, lambda s: body(s, True))
    for found in on_replicas(after, lambda s: body(s, False)):
        assert difference(found[0], expected[0]) < 1e-12
        assert (before, after) != (1, 1) or difference(found[0], expected[0]) == 0, "not the same bytes"
        np.testing.assert_allclose(found[1]["loss"], expected[1]["loss"], rtol=1e-12)


class TestLoopsOfOnesOwn:
    @pytest.mark.parametrize("num_replicas", [1, 2, 3])
    def test_distribute_dataset(self, num_replicas):
        def body(strategy):
            w, optimizer = distrib.Variable(np.zeros(4)), keras.optimizers.SGD(0.1)
            data = Dataset.from_tensor_slices((X, Y)).shuffle(SIZE).batch(BATCH)
            seen = 0
            for x, y in strategy.experimental_distribute_dataset(data):
                seen += len(y)

                def step(x, y):
                    with tf.GradientTape() as tape:
                        losses = tf.square(x @ w - y)
                        loss = tf.nn.compute_average_loss(losses, global_batch_size=BATCH)
                    optimizer.apply_gradients([(tape.gradient(loss, w), w)])

                strategy.run(step, args=(x, y))
            return [w.numpy()], seen

        expected = in_one_process(body)
        found = on_replicas(num_replicas, body)
        assert sum(seen for _, seen in found) == SIZE
        for values, _ in found:
            assert difference(values, expected[0]) < 1e-12

    def test_functions_for_each_replica(self):
        def body(strategy):
            def dataset_fn(context):
                assert context.num_input_pipelines == context.num_replicas_in_sync == 2
                size = context.get_per_replica_batch_size(BATCH)
                rows = Dataset.from_tensor_slices((X, Y))
                return rows.shard(context.num_input_pipelines, context.input_pipeline_id).batch(size)

            data = strategy.distribute_datasets_from_function(dataset_fn)
            number = strategy.experimental_distribute_values_from_function(
                lambda c: c.replica_id_in_sync_group
            )
            model = made(0.0)
            model.fit(data, epochs=2, verbose=0)
            return number, np.concatenate([x for x, _ in data]), model.get_weights()

        found = on_replicas(2, body)
        assert [number for number, *_ in found] == [0, 1]
        np.testing.assert_array_equal(found[0][1], X[::2])
        np.testing.assert_array_equal(found[1][1], X[1::2])
        assert difference(found[0][2], found[1][2]) == 0
        # A batch of both is the same set of examples as one of fit, but for the order.
        one = in_one_process(
            lambda s: (lambda m: (m.fit(X, Y, BATCH, 2, 0, shuffle=False), m.get_weights())[1])(made(0.0))
        )
        assert difference(found[0][2], one) < 1e-12

    def test_a_share_that_is_not_whole(self):
        context = tf.distribute.InputContext(3, 0, 3)
        with pytest.raises(distrib.ConfigError, match="8 is not divisible by the number of replicas, 3"):
            context.get_per_replica_batch_size(8)

    def test_policies(self, caplog):
        def body(strategy, policy):
            options = tf.data.Options()
            options.experimental_distribute.auto_shard_policy = policy
            data = Dataset.range(8).batch(4).with_options(options)
            return [each.tolist() for each in strategy.experimental_distribute_dataset(data)]

        policies = tf.data.experimental.AutoShardPolicy
        assert on_replicas(2, lambda s: body(s, policies.DATA)) == [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
        assert on_replicas(2, lambda s: body(s, policies.OFF)) == [[[0, 1], [2, 3], [4, 5], [6, 7]]] * 2
        assert "each counts once for every replica" in caplog.text
        with pytest.raises(distrib.ConfigError, match="FILE is for data sets"):
            in_one_process(lambda s: body(s, policies.FILE))

    def test_prefetch_reads_ahead(self):
        def body(strategy):
            read = []
            data = (
                Dataset.from_generator(lambda: (read.append(n) or n for n in range(40))).batch(2).prefetch(3)
            )
            batches = iter(strategy.experimental_distribute_dataset(data))
            next(batches)
            deadline = time.monotonic() + 5
            while len(read) < 8 and time.monotonic() < deadline:
                time.sleep(0.005)
            batches.close()
            return len(read)

        assert in_one_process(body) >= 8


class TestFaults:
    @pytest.mark.parametrize("num_replicas", [1, 2])
    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (lambda: iter([]), "Received: empty data"),
            (lambda: parts(), "no more batches for this epoch"),
            (lambda: Dataset.from_tensor_slices((X, Y)), r"needs \.batch"),
            (lambda: Dataset.from_tensor_slices((X, Y)).repeat().batch(4), "Pass steps_per_epoch"),
            (lambda: Endless(), "Pass steps_per_epoch"),
            (lambda: Dataset.from_tensor_slices((X[:, :3], Y)).batch(4), r"\(examples, 4\)|shape"),
            (lambda: Dataset.from_tensor_slices(X).batch(4), "batches of inputs alone"),
            (lambda: [(X, Y, WEIGHT, WEIGHT)], "a tuple of 4"),
            (lambda: [(X[:4], Y[:4]), (X[:4, :2], Y[:4])], "Batch 1: "),
            (lambda: [(X[:4], Y[:4]), (X[:4], Y[:3])], "as many rows in each"),
            (lambda: iter([(X[:4], None, WEIGHT[:4])]), "None before other parts"),
            (lambda: [(X[:4], Y[:4]), (X[:4], Y[:4] + 7)], "Batch 1: "),
        ],
    )
    def test_data_that_cannot_be_trained_on(self, num_replicas, data, words):
        with pytest.raises((distrib.DataError, distrib.ConfigError, distrib.ShapeError), match=words):
            on_replicas(num_replicas, lambda s: made().fit(data(), epochs=2, verbose=0))

    def test_what_does_not_go_with_batches(self):
        data = Dataset.from_tensor_slices((X, Y)).batch(4)
        for options in ({"y": Y}, {"batch_size": 3}, {"sample_weight": WEIGHT}, {"validation_split": 0.1}):
            with pytest.raises(distrib.ConfigError, match=r"beside arrays alone|is for arrays"):
                made().fit(data, verbose=0, **options)

    @pytest.mark.parametrize("num_replicas", [1, 2, 3])
    def test_a_generator_that_fails(self, num_replicas):
        def body(strategy):
            def fails():
                yield from list(parts())[:2]
                raise OSError("the disk is gone")

            made().fit(fails(), verbose=0)

        with pytest.raises(distrib.DataError, match="failed at batch 2: OSError: the disk is gone"):
            on_replicas(num_replicas, body)

    def test_a_map_that_fails_on_one_replica_ends_all(self):
        def body(strategy):
            def fails(x, y):
                if x[0] == X[6, 0]:
                    raise ValueError("a bad picture")
                return x, y

            made().fit(Dataset.from_tensor_slices((X, Y)).map(fails).batch(BATCH), verbose=0)

        with pytest.raises(distrib.DataError, match="element 6: ValueError: a bad picture"):
            on_replicas(3, body)

    def test_data_that_ends_early(self, caplog):
        model = made()
        history = model.fit(
            Dataset.from_tensor_slices((X, Y)).batch(BATCH), epochs=2, steps_per_epoch=9, verbose=0
        )
        assert "ended after 6 of 9 steps" in caplog.text
        assert len(history.history["loss"]) == 2
        assert int(model.optimizer.iterations) == 12

    @pytest.mark.parametrize("num_replicas", [2, 3])
    def test_replicas_that_read_different_batches(self, num_replicas):
        def body(strategy):
            rng = np.random.default_rng(strategy.replica_id)

            def drawn():
                yield X[:BATCH], Y[:BATCH]
                for _ in range(4):
                    rows = rng.permutation(SIZE)[:BATCH]
                    yield X[rows], Y[rows]

            made().fit(drawn(), verbose=0)

        with pytest.raises(
            distrib.ProtocolError, match=r"At step 1 rank 1.* and rank 0 have read different batches"
        ):
            on_replicas(num_replicas, body)

    def test_a_replica_whose_data_is_shorter(self):
        def body(strategy, data):
            made().fit(data(strategy.replica_id), verbose=0)

        with pytest.raises(distrib.ProtocolError, match=r"data.batches: rank 0: 6, rank 1: 5"):
            on_replicas(2, lambda s: body(s, lambda rank: list(parts())[: 6 - rank]))
        with pytest.raises(
            distrib.ProtocolError, match="does not belong here"
        ):  # lengths are not known before
            on_replicas(2, lambda s: body(s, lambda rank: iter(list(parts())[: 6 - rank])))

    def test_nan_is_named(self):
        bad = X.copy()
        bad[20, 2] = np.nan
        with pytest.raises(distrib.NonFiniteError, match="NaN or Inf in the gradient at step 2"):
            made().fit(Dataset.from_tensor_slices((bad, Y)).batch(BATCH), verbose=0)

    def test_no_thread_is_left_after_validation_with_steps(self):
        data = Dataset.from_tensor_slices((X, Y)).batch(4).prefetch(3)
        made().fit(data, verbose=0, validation_data=data.repeat(), validation_steps=2)

    def test_no_thread_is_left_after_a_failure(self):
        def fails(x, y):
            raise ValueError("bad")

        data = Dataset.from_tensor_slices((X, Y)).batch(4).map(fails, num_parallel_calls=2).prefetch(3)
        with pytest.raises(distrib.DataError, match="element 0: ValueError: bad"):
            made().fit(data, verbose=0)


def test_waiting_for_data_is_counted_and_shown(capsys):
    def slow(x, y):
        time.sleep(0.01)
        return x, y

    model = made()
    model.fit(Dataset.from_tensor_slices((X, Y)).batch(4).map(slow), epochs=2)
    waited = model.history.counters["waited_for_data_s"]
    assert waited > 24 * 0.01
    assert "Steps waited for data" in capsys.readouterr().out
    model.fit(Dataset.from_tensor_slices((X, Y)).batch(4).map(slow).cache().repeat(2), verbose=0)
    assert 12 * 0.01 < model.history.counters["waited_for_data_s"] < waited
    model.fit(X, Y, verbose=0)
    assert "waited_for_data_s" not in model.history.counters


def test_the_bar_knows_the_length_that_the_data_says():
    seen = []
    shown = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(shown.params["steps"])
    )
    made().fit(Dataset.from_tensor_slices((X, Y)).batch(BATCH), callbacks=[shown], verbose=0)
    made().fit(Dataset.from_generator(parts), callbacks=[shown], verbose=0)
    assert seen == [6] * 6 + [None] * 6


def test_the_bar_of_data_whose_length_is_not_known(capsys):
    model = made()
    model.fit(Dataset.from_generator(parts), epochs=2)
    shown = capsys.readouterr().out
    assert shown.count("6/6 ━") == 2
    assert model.history.counters["waited_for_data_s"] > 0
