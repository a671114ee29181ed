"""Clipping, gradient accumulation and the watch for drift, over replicas."""

import threading

import numpy as np
import pytest
from helpers.replicas import KINDS, difference, in_one_process, on_replicas

import distrib
from distrib.comm.collectives.shared_memory import SharedMemoryCommunicator
from distrib.comm.messages.threads import run_ranks

rng = np.random.default_rng(5)
X, Y = rng.normal(size=(37, 6)), rng.integers(0, 3, 37)


def make_model(optimizer, dropout=0.0):
    model = distrib.Sequential(
        [
            distrib.layers.Dense(9, activation="tanh", kernel_regularizer="l2", input_shape=(6,)),
            distrib.layers.Dropout(dropout),
            distrib.layers.Dense(3, activation="softmax"),
        ],
        dtype="float64",
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    return model


def training(make_optimizer, batch_size=8, dropout=0.0):
    def body(strategy):
        model = make_model(make_optimizer(), dropout)
        history = model.fit(X, Y, batch_size=batch_size, epochs=3, verbose=0)
        return model.get_weights(), history.history, model.optimizer.iterations

    return body


class TestClipping:
    def step(self, **clipping):
        """The change of the weights by one step of SGD(1) on one batch, as one vector."""

        def body(strategy):
            model = make_model(distrib.optimizers.SGD(1.0, **clipping))
            before = np.concatenate([w.ravel() for w in model.get_weights()])
            model.train_on_batch(X, Y * 0)
            return before - np.concatenate([w.ravel() for w in model.get_weights()])

        return body

    def test_by_value_clips_each_element(self):
        gradient = in_one_process(self.step())
        clipped = in_one_process(self.step(clipvalue=0.05))
        assert (abs(gradient) > 0.05).any()
        np.testing.assert_allclose(clipped, np.clip(gradient, -0.05, 0.05), atol=1e-15)

    @pytest.mark.parametrize("limit", [0.1, 1e9])
    def test_by_global_norm_scales_the_whole_gradient(self, limit):
        gradient = in_one_process(self.step())
        norm = np.linalg.norm(gradient)
        clipped = in_one_process(self.step(global_clipnorm=limit))
        np.testing.assert_allclose(clipped, gradient * limit / max(norm, limit), rtol=1e-12)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("clipping", [{"clipvalue": 0.02}, {"global_clipnorm": 0.1}])
    def test_replicas_clip_as_one_process(self, kind, clipping):
        body = training(lambda: distrib.optimizers.Adam(0.01, **clipping))
        weights, history, _ = in_one_process(body)
        for replica_weights, replica_history, _ in on_replicas(3, body, kind=kind):
            assert difference(replica_weights, weights) <= 1e-12
            np.testing.assert_allclose(replica_history["loss"], history["loss"], rtol=1e-9)

    @pytest.mark.filterwarnings("ignore:overflow")
    @pytest.mark.parametrize("num_replicas", [1, 2])
    def test_a_norm_too_large_for_float32_is_clipped(self, num_replicas):
        def body(strategy):
            model = distrib.Sequential([distrib.layers.Dense(1, input_shape=(2,))])
            model.compile(distrib.optimizers.SGD(0.5, global_clipnorm=1.0), "mae")
            before = np.concatenate([weights.ravel() for weights in model.get_weights()])
            model.train_on_batch(np.full((2, 2), 1e25), np.zeros((2, 1)))
            return np.concatenate([weights.ravel() for weights in model.get_weights()]) - before

        for change in on_replicas(num_replicas, body):
            np.testing.assert_allclose(np.linalg.norm(change), 0.5, rtol=1e-6)

    @pytest.mark.parametrize(
        "options", [{"clipvalue": 1, "global_clipnorm": 1}, {"clipvalue": 0}, {"global_clipnorm": -1.0}]
    )
    def test_bad_clipping_is_refused(self, options):
        with pytest.raises(distrib.ConfigError, match="expects one of clipnorm > 0, clipvalue > 0 and"):
            distrib.optimizers.Adam(**options)


class TestAccumulation:
    @pytest.mark.parametrize("kind", ["one process", *KINDS])
    @pytest.mark.parametrize("steps", [1, 2, 3])
    def test_k_batches_are_one_batch_of_k_times_the_size(self, kind, steps):
        def accumulating():
            return distrib.optimizers.Adam(0.01, gradient_accumulation_steps=steps)

        large = in_one_process(training(lambda: distrib.optimizers.Adam(0.01), 6 * steps, dropout=0.3))
        body = training(accumulating, 6, dropout=0.3)
        results = [in_one_process(body)] if kind == "one process" else on_replicas(2, body, kind=kind)
        for weights, history, iterations in results:
            assert difference(weights, large[0]) <= 1e-12
            np.testing.assert_allclose(history["loss"], large[1]["loss"], rtol=1e-9)
            np.testing.assert_allclose(history["accuracy"], large[1]["accuracy"], rtol=1e-9)
            assert iterations == large[2]

    def test_nothing_is_sent_between_updates(self):
        def body(strategy):
            model = make_model(distrib.optimizers.Adam(0.01, gradient_accumulation_steps=4))
            sent = []

            class Watch(distrib.callbacks.Callback):
                def on_train_batch_end(self, batch, logs=None):
                    sent.append(strategy.communicator.counters.payload_bytes)

            model.fit(X[:32], Y[:32], batch_size=4, verbose=0, callbacks=[Watch()])
            return sent

        for sent in on_replicas(2, body):
            assert sent[0] == sent[1] == sent[2] < sent[3] == sent[4] == sent[6] < sent[7]

    def test_what_is_held_is_an_update_before_something_else_begins(self):
        def body(strategy):
            model = make_model(distrib.optimizers.SGD(0.1, gradient_accumulation_steps=4))
            for begin in (0, 8, 16):
                model.train_on_batch(X[begin : begin + 8], Y[begin : begin + 8])
            assert model.optimizer.iterations == 0
            model.evaluate(X, Y, verbose=0)
            assert model.optimizer.iterations == 1
            return model.get_weights()

        def at_once(strategy):
            model = make_model(distrib.optimizers.SGD(0.1))
            model.train_on_batch(X[:24], Y[:24])
            return model.get_weights()

        for weights in on_replicas(2, body):
            assert difference(weights, in_one_process(at_once)) <= 1e-12

    def test_a_bad_number_is_refused(self):
        with pytest.raises(distrib.ConfigError, match="gradient_accumulation_steps >= 1"):
            distrib.optimizers.SGD(gradient_accumulation_steps=0)


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_slots_are_kept_for_the_same_weights_only(num_replicas):
    """One layer is trained, then another of the same size, twice."""

    def trained_by(optimizers):
        def body(strategy):
            layers = [distrib.layers.Dense(6, use_bias=False, input_shape=(6,)) for _ in range(2)]
            model = distrib.Sequential(
                [*layers, distrib.layers.Dense(3, activation="softmax")], dtype="float64"
            )
            made = {name: distrib.optimizers.SGD(0.1, momentum=0.9) for name in optimizers}
            for trained, name in zip((0, 1, 1), optimizers, strict=True):
                for index, layer in enumerate(model.layers):
                    layer.trainable = index == trained
                model.compile(made[name], "sparse_categorical_crossentropy")
                model.fit(X, Y, batch_size=37, verbose=0)
            return model.get_weights()

        return on_replicas(num_replicas, body)[0]

    usual = trained_by("aaa")
    assert difference(usual, trained_by("abb")) == 0
    assert difference(usual, trained_by("abc")) > 1e-6


@pytest.mark.parametrize("kind", ["central", "ring"])
@pytest.mark.parametrize("steps", [None, 2])
def test_training_ends_when_it_has_ended_for_all(kind, steps):
    """What one replica does to the values at the end is not seen by what another does after its last epoch."""
    has_ended = threading.Event()

    class AtTheEnd(distrib.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if self.model.strategy.replica_id == 0:
                assert not has_ended.wait(0.2)

        def on_train_end(self, logs=None):
            has_ended.set()

    def body(strategy):
        model = make_model(distrib.optimizers.Adam(gradient_accumulation_steps=steps))
        model.fit(X, Y, verbose=0, callbacks=[AtTheEnd()])

    on_replicas(2, body, kind=kind)
    assert has_ended.is_set()


class TestDrift:
    """B11: values that differ between replicas are found, and the replica that differs is named."""

    def run(
        self,
        num_replicas,
        victims,
        check_every,
        frozen=False,
        gradient_accumulation_steps=None,
        strategy_class=distrib.MirroredStrategy,
    ):
        """Each rank's error, or None."""
        fired = []

        class Flip(distrib.callbacks.Callback):
            step = 0

            def on_train_batch_begin(self, batch, logs=None):
                rank = self.model.strategy.replica_id
                if rank in victims and self.step == 4:
                    variable = self.model.variables[2 if frozen else 0]
                    variable.value.view(np.uint64).flat[0] ^= 1 + rank
                    fired.append(rank)
                self.step += 1

        def body(transport):
            strategy = strategy_class(
                distrib.CommunicationOptions(check_every=check_every), SharedMemoryCommunicator(transport, 20)
            )
            with strategy.scope():
                adam = distrib.optimizers.Adam(gradient_accumulation_steps=gradient_accumulation_steps)
                model = make_model(adam)
                if frozen:
                    model.layers[2].trainable = False
                    model.compile(adam, "sparse_categorical_crossentropy")
            try:
                model.fit(X, Y, batch_size=4, epochs=3, verbose=0, callbacks=[Flip()])
            except distrib.ProtocolError as error:
                return error
            return None

        errors = run_ranks(num_replicas, body)
        assert sorted(fired) == list(victims)
        return errors

    @pytest.mark.parametrize("frozen", [False, True])
    @pytest.mark.parametrize(
        ("num_replicas", "victims", "words"),
        [
            (2, [0], "The values of rank 0 and those of rank 1 differ at step 4, and no majority"),
            (2, [1], "The values of rank 0 and those of rank 1 differ at step 4, and no majority"),
            (3, [0], "The values of rank 0 differ from those of the other 2 at step 4"),
            (3, [1], "The values of rank 1 differ from those of the other 2 at step 4"),
            (4, [3], "The values of rank 3 differ from those of the other 3 at step 4"),
            (
                4,
                [0, 2],
                "The values of rank 0 and those of rank 1, rank 3 and those of rank 2 differ at step 4",
            ),
            (5, [0, 3], "The values of rank 0, rank 3 differ from those of the other 3 at step 4"),
        ],
    )
    def test_a_flipped_bit_is_found_and_a_minority_named(self, num_replicas, victims, words, frozen):
        for error in self.run(num_replicas, victims, check_every=1, frozen=frozen):
            assert words in str(error)
            assert error.exit_code == 76
            assert "go on from the last checkpoint" in str(error)

    def test_it_looks_every_so_many_steps(self):
        assert all("rank 1 differ from" in str(error) for error in self.run(3, [1], check_every=4))
        # Written over by the owner's value before the next look.
        assert self.run(3, [1], check_every=7) == [None] * 3
        assert self.run(3, [1], check_every=0) == [None] * 3

    def test_what_is_not_trained_is_looked_at_beside_common_values(self):
        central = distrib.CentralStorageStrategy
        for error in self.run(3, [1], check_every=1, frozen=True, strategy_class=central):
            assert "The values of rank 1 differ from those of the other 2 at step 4" in str(error)

    @pytest.mark.parametrize("steps", [None, 4])
    def test_it_looks_at_the_end_of_an_epoch(self, steps):
        found = self.run(3, [1], check_every=1000, frozen=True, gradient_accumulation_steps=steps)
        epoch = 10 if steps is None else 3
        assert all(
            f"rank 1 differ from those of the other 2 at step {epoch}" in str(error) for error in found
        )

    def test_a_bad_number_is_refused(self):
        with pytest.raises(distrib.ConfigError, match="check_every >= 0"):
            distrib.CommunicationOptions(check_every=-1)
