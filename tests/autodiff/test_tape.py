"""The tape: what it tracks, how often it goes back, and what it refuses."""

import gc
import threading
import weakref

import numpy as np
import pytest

import distrib
from distrib.autodiff.custom import custom_gradient, stop_gradient
from distrib.autodiff.recorder import open_tapes
from distrib.autodiff.tape import GradientTape
from distrib.autodiff.tensor import Tensor, as_tensor
from distrib.base.errors import ConfigError


def of(values):
    return as_tensor(np.array(values, dtype=np.float64))


def test_the_examples_of_tensorflows_guide():
    """https://www.tensorflow.org/guide/autodiff and advanced_autodiff: the numbers that are printed there."""
    x = distrib.Variable(3.0)
    with GradientTape() as tape:
        y = x**2
    assert float(tape.gradient(y, x)) == 6.0

    x = of([1, 2, 3, 4])
    with GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    assert tape.gradient(z, x).tolist() == [4, 32, 108, 256]
    assert tape.gradient(y, x).tolist() == [2, 4, 6, 8]

    x0, x1 = distrib.Variable(0.0), distrib.Variable(10.0)
    with GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x1)
        y = np.sin(x0) + np.log(1 + np.exp(x1))
    gradients = tape.gradient(y, {"x0": x0, "x1": x1})
    assert gradients["x0"] is None
    assert float(gradients["x1"]) == pytest.approx(0.9999546)

    x = of(3.0)
    with GradientTape() as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    assert float(tape.gradient(z, y)) == 18.0, "dz_dy, an intermediate result"

    x = distrib.Variable(2.0)
    with GradientTape() as tape:
        y0, y1 = x**2, 1 / x
    assert float(tape.gradient({"y0": y0, "y1": y1}, x)) == 3.75

    x, y = distrib.Variable(2.0), distrib.Variable(3.0)
    with GradientTape() as tape:
        x_sq = x * x
        with tape.stop_recording():
            y_sq = y * y
        z = x_sq + y_sq
    gradients = tape.gradient(z, {"x": x, "y": y})
    assert (float(gradients["x"]), gradients["y"]) == (4.0, None)

    with GradientTape() as tape:
        z = x**2 + stop_gradient(y**2)
    assert tape.gradient(z, y) is None

    x = distrib.Variable(1.0)
    with GradientTape() as outer:
        with GradientTape() as inner:
            y = x * x * x
        dy_dx = inner.gradient(y, x)
    assert (float(dy_dx), float(outer.gradient(dy_dx, x))) == (3.0, 6.0)

    x, z = distrib.Variable(2.0), distrib.Variable([2.0, 2.0])
    with GradientTape() as tape:
        y = x * x
    assert tape.gradient(y, z) is None
    with GradientTape() as tape:
        y = x * x
    assert tape.gradient(y, z, unconnected_gradients="zero").tolist() == [0, 0]

    x = np.linspace(-10.0, 10.0, 201)
    delta = distrib.Variable(np.float64(0.0))
    with GradientTape() as tape:
        y = 1 / (1 + np.exp(-(x + delta)))
    dy_dx = tape.jacobian(y, delta)
    assert dy_dx.shape == (201,)
    assert float(dy_dx.max()) == 0.25


def test_jacobians():
    rng = np.random.default_rng(0)
    w, x = distrib.Variable(rng.normal(size=(3, 2))), of(rng.normal(size=(4, 3)))
    with GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = np.tanh(x @ w)
    of_x, of_w = tape.jacobian(y, [x, w])
    assert (of_x.shape, of_w.shape) == ((4, 2, 4, 3), (4, 2, 3, 2))
    slope = 1 - np.asarray(y) ** 2
    expected = np.einsum("bo,io,bc->boci", slope, w.value, np.eye(4))
    np.testing.assert_allclose(of_x, expected, atol=1e-12)
    np.testing.assert_allclose(of_w, np.einsum("bo,bi,op->boip", slope, x, np.eye(2)), atol=1e-12)
    np.testing.assert_allclose(tape.batch_jacobian(y, x), np.einsum("bo,io->boi", slope, w.value), atol=1e-12)
    assert tape.jacobian(y, of([1.0])) is None


def test_a_value_that_is_used_several_times_adds_its_gradients():
    x = distrib.Variable(np.float64(2.0))
    with GradientTape() as tape:
        y = x
        for _ in range(5):
            y = y * x + x
    assert float(tape.gradient(y, x)) == sum((k + 1) * 2.0**k for k in range(1, 5)) + 6 * 2.0**5 + 1


def test_results_are_arrays_of_their_own():
    a, b = distrib.Variable([1.0, 2.0]), distrib.Variable([3.0, 4.0])
    with GradientTape() as tape:
        y = np.sum(a + b)
    d_a, d_b = tape.gradient(y, [a, b])
    np.multiply(d_a, 5, out=d_a)
    assert d_b.tolist() == [1, 1]
    assert isinstance(d_b, Tensor)
    assert d_b.flags.writeable


def test_two_gradients_of_one_variable_do_not_share_memory():
    w = distrib.Variable(np.ones((3, 2), np.float32))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    with GradientTape(persistent=True) as tape:
        y = x @ w
        z = y * 2
    first, second = tape.gradient(y, w), tape.gradient(z, w)
    np.testing.assert_array_equal(first * 2, second)


def test_a_tape_that_was_used_up_is_refused():
    x = distrib.Variable(1.0)
    with GradientTape() as tape:
        y = x * x
    tape.gradient(y, x)
    with pytest.raises(ConfigError, match="computes gradients once"):
        tape.gradient(y, x)


def test_a_variable_that_was_assigned_is_refused():
    """TensorFlow would use the former value, which is gone here: better none than a wrong gradient."""
    x = distrib.Variable(1.0, name="x")
    with GradientTape() as tape:
        y = x * x
        x.assign(5.0)
    with pytest.raises(ConfigError, match=r"Variable 'x' was assigned after multiply had used it"):
        tape.gradient(y, x)


def test_state_that_is_not_trained_may_be_assigned():
    x, total = distrib.Variable(2.0), distrib.Variable(3.0, trainable=False)
    with GradientTape() as tape:
        y = x * total
        total.assign_add(10.0)
        y = y + x * total
    assert float(tape.gradient(y, x)) == 16.0


def test_what_may_be_watched():
    with GradientTape() as tape:
        with pytest.raises(
            ConfigError, match=r"expects tensors or variables\. Received: ndarray\. Make a tensor"
        ):
            tape.watch(np.ones(3))
        with pytest.raises(ConfigError, match="tensors of floats"):
            tape.watch(as_tensor(np.arange(3)))
        with pytest.raises(ConfigError, match="records already"), tape:
            pass
    with pytest.raises(ConfigError, match="unconnected_gradients"):
        tape.gradient(1, [], unconnected_gradients="zeros")
    with pytest.raises(ConfigError, match="no argument target_gradients"):
        tape.gradient(1, [], target_gradients=1)
    assert open_tapes() == ()


def test_a_thread_has_its_own_tape():
    x = distrib.Variable(np.float64(3.0))
    results = {}

    def work(number):
        with GradientTape() as tape:
            y = x * number
            barrier.wait(10)
            y = y * x
        results[number] = float(tape.gradient(y, x))

    barrier = threading.Barrier(4)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)
    assert results == {number: 6.0 * number for number in range(4)}


def test_memory_goes_with_the_tape_and_not_with_the_results():
    """A list of losses keeps no records, as it does in PyTorch."""
    x = distrib.Variable(np.ones(1000))
    with GradientTape() as tape:
        middle = x * 2
        loss = np.sum(middle * middle)
    gone = weakref.ref(middle)
    del middle
    tape.gradient(loss, x)
    gc.collect()
    assert gone() is None
    assert tape.records == []
    with GradientTape() as tape:
        loss = np.sum(x * 2)
    gone = weakref.ref(tape.records[0].value)
    del tape, loss
    gc.collect()
    assert gone() is None


def test_a_tape_that_was_used_is_freed_without_the_garbage_collector():
    v = distrib.Variable(np.ones(3))
    gc.disable()
    try:
        with GradientTape() as tape:
            loss = np.mean(v * 2)
        tape.gradient(loss, v)
        gone = weakref.ref(tape)
        del tape, loss
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("function", [np.sum, np.mean])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 1, 3)])
def test_the_gradient_of_a_total_can_be_written_to(function, shape):
    x = of(np.ones(shape))
    with GradientTape() as tape:
        tape.watch(x)
        total = function(x) if x.size else np.sum(x)
    gradient = np.asarray(tape.gradient(total, x))
    assert gradient.shape == shape
    gradient[...] = 5
    assert (gradient == 5).all()


def test_operators_of_variables():
    v = distrib.Variable([1.0, 2.0])
    assert (v + 1).tolist() == [2, 3]
    assert (1 - v).tolist() == [0, -1]
    assert (v > 1).tolist() == [False, True]
    assert (np.array([[2.0, 3.0]]) @ v).tolist() == [8]
    assert np.concatenate([v, v]).shape == (4,)
    assert v[1].tolist() == 2
    assert len(v) == 2
    assert [float(each) for each in v] == [1, 2]
    assert v in [distrib.Variable(1.0), v], "variables are compared as objects, and can be keys"
    before = v
    v += 1
    assert isinstance(v, Tensor)
    assert before.numpy().tolist() == [1, 2]
    row = before[0]
    before.assign([5.0, 5.0])
    assert float(row) == 1.0
    views = [before[:1], np.reshape(before, (2, 1))[:1], next(iter(before)), np.transpose(before)[:1]]
    before.assign([7.0, 7.0])
    assert [each.item() for each in views] == [5.0] * 4, "what was read does not change with the variable"
    assert float(distrib.Variable(2.5)) == 2.5


def test_a_custom_gradient():
    """The example of tf.custom_gradient: log(1 + exp(x)) without overflow."""

    @custom_gradient
    def log1pexp(x):
        e = np.exp(x)
        return np.log(1 + e), lambda upstream: upstream * (1 - 1 / (1 + e))

    x = of(100.0)
    with GradientTape() as tape:
        tape.watch(x)
        y = log1pexp(x) * 2
    assert float(tape.gradient(y, x)) == 2.0


def test_a_custom_gradient_with_variables_and_several_results():
    w = distrib.Variable(np.float64(3.0), name="w")

    @custom_gradient
    def function(x, y):
        def gradient(d_sum, d_product, variables=None):
            assert [each.name for each in variables] == ["w"]
            return (d_sum + d_product * w, d_sum + 0 * d_product), [d_product * x]

        return (x + y, x * w), gradient

    x, y = of(2.0), of(5.0)
    with GradientTape() as tape:
        tape.watch([x, y])
        total, product = function(x, y)
        z = 10 * total + product
    assert [float(each) for each in tape.gradient(z, [x, y, w])] == [13.0, 10.0, 2.0]

    @custom_gradient
    def wrong(x):
        return x * 2, lambda d: (d, d)

    with GradientTape() as tape:
        tape.watch(x)
        z = wrong(x)
    with pytest.raises(ConfigError, match=r"wrong returns one for each of its 1 arguments\. Received: 2"):
        tape.gradient(z, x)


def test_a_second_derivative_through_what_has_none_is_refused():
    @custom_gradient
    def square(x):
        return x * x, lambda d: d * 2 * x

    x = of(2.0)
    with GradientTape() as outer:
        outer.watch(x)
        with GradientTape() as inner:
            inner.watch(x)
            y = square(x)
        first = inner.gradient(y, x)
        assert float(first) == 4.0, "the first derivative is fine"
        z = first * x
    with pytest.raises(ConfigError, match="gradient of square has no gradient"):
        outer.gradient(z, x)


def test_ten_thousand_steps_keep_memory_constant():
    import resource

    w = distrib.Variable(np.ones((50, 20), np.float32))
    x = np.ones((30, 50), np.float32)

    def steps(count):
        for _ in range(count):
            with GradientTape() as tape:
                loss = np.mean(np.maximum(x @ w, 0) ** 2)
            tape.gradient(loss, w)

    steps(200)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    steps(10_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2048, "KiB"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_as_layers_written_by_hand(dtype):
    from distrib import layers, tf
    from distrib.nn.rng import RngKey

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 30)).astype(dtype), rng.integers(0, 5, 50)
    model = distrib.Sequential(
        [layers.Input((30,)), layers.Dense(20, activation="relu"), layers.Dense(5)], dtype=dtype, seed=3
    )
    model.compile("sgd", distrib.losses.SparseCategoricalCrossentropy(from_logits=True))
    network, configured = model.network, model.compile_config
    objective = configured.objective(network, y)
    network.train_on(x, configured.prepare(y, network), None, RngKey(0, 0, 0), objective)
    w1, b1, w2, b2 = model.trainable_variables
    with GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, np.maximum(x @ w1 + b1, 0) @ w2 + b2)
        loss = np.sum(losses)
    for variable, gradient in zip((w1, b1, w2, b2), tape.gradient(loss, [w1, b1, w2, b2]), strict=True):
        np.testing.assert_array_equal(gradient, variable.grad)
    with GradientTape() as tape:
        loss = distrib.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")(y, model(x))
    for variable, gradient in zip((w1, b1, w2, b2), tape.gradient(loss, [w1, b1, w2, b2]), strict=True):
        np.testing.assert_array_equal(gradient, variable.grad)
