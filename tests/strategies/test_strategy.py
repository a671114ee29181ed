"""The strategy API over threads: scope, run, reduce, gather, non-finite gradients, disagreement."""

import numpy as np
import pytest
from helpers.replicas import in_one_process, on_replicas

import distrib
from distrib import layers
from distrib.cluster.launcher_env import launched
from distrib.host.blas_threads import threads_of_rank


def test_scope_is_reentrant_and_refuses_another_strategy():
    mine, other = distrib.DefaultStrategy(), distrib.DefaultStrategy()
    assert not distrib.has_strategy()
    with mine.scope(), mine.scope():
        assert distrib.get_strategy() is mine
        with pytest.raises(distrib.ConfigError, match="Mixing different strategies"), other.scope():
            pass
        assert distrib.Sequential().strategy is mine
    assert distrib.get_strategy() is not mine


def test_mirrored_without_a_launcher_is_one_replica():
    strategy = distrib.MirroredStrategy()
    assert (strategy.num_replicas_in_sync, strategy.replica_id, strategy.is_chief) == (1, 0, True)


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_reduce_weighs_every_element_the_same(world_size):
    def body(strategy):
        rank = strategy.replica_id
        assert strategy.reduce("SUM", rank) == sum(range(world_size))
        assert strategy.reduce("MEAN", float(rank)) == pytest.approx(np.mean(range(world_size)))
        assert strategy.reduce(distrib.ReduceOp.MAX, [[rank, -rank]]).tolist() == [[world_size - 1, 0]]
        ragged = np.arange(rank + 1.0)  # rank r has r + 1 elements
        everything = np.concatenate([np.arange(r + 1.0) for r in range(world_size)])
        assert strategy.reduce("MEAN", ragged, axis=0) == pytest.approx(everything.mean())
        assert strategy.reduce("SUM", ragged, axis=0) == pytest.approx(everything.sum())
        assert np.array_equal(strategy.gather(ragged), everything)
        columns = strategy.gather(np.full((2, rank + 1), rank), axis=1)
        assert columns.tolist() == 2 * [[r for r in range(world_size) for _ in range(r + 1)]]

    on_replicas(world_size, body)


def test_run_gives_the_function_its_replica_context():
    def body(strategy):
        def step(value, factor):
            context = distrib.get_replica_context()
            assert context.num_replicas_in_sync == 3
            assert context.replica_id_in_sync_group == strategy.replica_id
            return context.all_reduce("SUM", value * factor)

        return float(strategy.run(step, args=(strategy.replica_id,), kwargs={"factor": 2}))

    assert on_replicas(3, body) == [6.0, 6.0, 6.0]


def test_unknown_reduce_op_and_unequal_gather_are_errors():
    with pytest.raises(distrib.ConfigError, match="SUM, MEAN, MAX, MIN"):
        distrib.DefaultStrategy().reduce("product", 1)

    def body(strategy):
        strategy.gather(np.ones((2, 1 + strategy.replica_id)))

    with pytest.raises(distrib.ProtocolError, match="equal dtypes"):
        on_replicas(2, body)


def tiny_model(on_nonfinite="raise", **kwargs):
    model = distrib.Sequential([layers.Dense(3, activation="softmax", input_shape=(4,))], **kwargs)
    sgd = distrib.optimizers.SGD(0.1)
    model.compile(sgd, "sparse_categorical_crossentropy", on_nonfinite=on_nonfinite)
    return model


def examples(num=12):
    rng = np.random.default_rng(0)
    return rng.normal(size=(num, 4)), rng.integers(0, 3, num)


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_b9_nan_in_one_replica_is_named_on_all(world_size):
    x, y = examples()
    x[-1, 2] = np.nan  # the last replica's part
    messages = []

    def body(strategy):
        try:
            tiny_model().fit(x, y, batch_size=12, verbose=0, shuffle=False)
        except distrib.NonFiniteError as error:
            messages.append(str(error))

    on_replicas(world_size, body)
    assert len(messages) == world_size
    assert all(f"step 0, first in dense/kernel on rank {world_size - 1}." in m for m in messages)


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_b9_skip_leaves_the_step_out_everywhere(world_size):
    x, y = examples()
    x[5, 0] = np.nan  # spoils the second of three batches

    def body(strategy):
        model = tiny_model("skip")
        before = model.get_weights()
        model.fit(x[4:8], y[4:8], batch_size=4, verbose=0, shuffle=False)
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
        assert model.optimizer.iterations == 0
        history = model.fit(x, y, batch_size=4, verbose=0, shuffle=False)
        assert model.optimizer.iterations == 2
        assert np.isfinite(history.history["loss"]).all()
        return model.get_weights()

    results = on_replicas(world_size, body)
    assert all(np.isfinite(w).all() for weights in results for w in weights)


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("policy", ["raise", "skip"])
@pytest.mark.parametrize("kind", ["ring", "shared_memory", "central"])
def test_b10_a_sum_that_overflows_is_found_after_the_reduce(world_size, policy, kind, tmp_path):
    x, y = examples(6)
    huge = np.float32(3e38)
    seen = []

    def body(strategy):
        model = tiny_model(policy)
        model.build((None, 4))
        train_on = model.network.train_on

        def huge_gradient(*args):
            batch_sums = train_on(*args)
            model.network.buffer.grads[0] = huge  # finite on each replica, not in the sum
            return batch_sums

        model.network.train_on = huge_gradient
        before = model.get_weights()
        try:
            with np.errstate(over="ignore"):
                model.fit(x, y, batch_size=6, verbose=0)
        except distrib.NonFiniteError as error:
            seen.append(str(error))
            model.network.train_on = train_on
            for call in (
                lambda: model.fit(x, y, batch_size=6, verbose=0),
                lambda: model.train_on_batch(x, y),
                lambda: model.evaluate(x, y, verbose=0),
                lambda: model.save(tmp_path / "damaged"),
                lambda: model.save_weights(tmp_path / "damaged.weights.safetensors"),
            ):
                with pytest.raises(
                    distrib.ConfigError, match="an update that was applied in part, at step 0"
                ):
                    call()
            assert not any(tmp_path.iterdir())
            model.set_weights(before)
            model.fit(x, y, batch_size=6, verbose=0)  # all are at the same step, and go on
            assert model.optimizer.iterations == 1
            np.testing.assert_array_equal(model.get_weights()[0], after_one[0])
        else:
            assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))

    def trained(strategy):
        model = tiny_model()
        model.fit(x, y, batch_size=6, verbose=0)
        return model.get_weights()

    after_one = on_replicas(world_size, trained, kind=kind)[0]
    on_replicas(world_size, body, kind=kind)
    assert len(seen) == (world_size if policy == "raise" else 0)
    assert all("sum over replicas of the gradient at step 0" in message for message in seen)
    assert all("on rank 0" in message for message in seen)


def test_allow_lets_nan_through():
    x, y = examples()
    x[0] = np.nan
    model = tiny_model("allow")
    model.fit(x, y, verbose=0)
    assert np.isnan(model.get_weights()[0]).any()


@pytest.mark.parametrize("num_examples", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_b13_uneven_and_empty_parts_do_not_deadlock(world_size, num_examples):
    x, y = examples(num_examples)

    def body(strategy):
        model = tiny_model(dtype="float64")
        model.fit(x, y, batch_size=3, epochs=3, verbose=0)
        return model.get_weights()

    expected = in_one_process(body)
    for weights in on_replicas(world_size, body):
        for a, b in zip(weights, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_b7_differences_are_told_to_every_replica():
    x, y = examples()
    messages = []

    def body(strategy):
        model = tiny_model(seed=7 if strategy.replica_id == 1 else 0)
        try:
            model.fit(x, y, batch_size=4 + strategy.replica_id, verbose=0)
        except distrib.ProtocolError as error:
            messages.append(str(error))

    on_replicas(3, body)
    assert len(messages) == 3
    for message in messages:
        assert "model.seed: rank 0: 0, rank 1: 7, rank 2: 0" in message
        assert "batch_size: rank 0: 4, rank 1: 5, rank 2: 6" in message


@pytest.mark.parametrize("frozen", [False, True])
def test_replicas_start_from_rank_0s_values(frozen):
    x, y = examples()

    def body(strategy):
        model = distrib.Sequential([layers.Dense(5, input_shape=(4,)), layers.Dense(3, activation="softmax")])
        model.layers[0].trainable = not frozen
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.build((None, 4))
        model.set_weights([w + strategy.replica_id for w in model.get_weights()])
        model.fit(x, y, verbose=0)
        return model.get_weights()

    first, *others = on_replicas(3, body)
    for weights in others:
        assert all(np.array_equal(a, b) for a, b in zip(first, weights, strict=True))


def test_launchers_are_told_apart():
    assert launched({}) is None
    assert launched({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4"}) == ("Open MPI mpirun", 1, 4)
    assert launched({"PMI_RANK": "0", "PMI_SIZE": "2"}) == ("MPICH Hydra", 0, 2)
    assert launched({"PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "8"}) == ("srun", 0, 8)


@pytest.mark.parametrize(
    ("mine", "neighbours", "threads"),
    [
        ({0, 1}, [{0, 1}], 2),
        ({0, 1}, [{0, 1}, {0, 1}], 1),
        ({0}, [{0}, {1}], 1),
        ({0, 1, 2, 3}, [{0, 1, 2, 3}, {4, 5, 6, 7}], 4),
        ({0, 1}, [{0, 1}] * 4, 1),
    ],
)
def test_a_rank_takes_its_share_of_the_cores(mine, neighbours, threads):
    assert threads_of_rank(mine, neighbours) == threads
