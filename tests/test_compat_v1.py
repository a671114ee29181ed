"""`distrib.tf.compat.v1`: placeholders, sessions, and what they refuse."""

import numpy as np
import pytest
from helpers.replicas import difference, in_one_process, on_replicas

import distrib
import distrib.tf.compat.v1 as tf
from distrib.base.missing import MissingNameError


@pytest.fixture(autouse=True)
def new_graph():
    tf.reset_default_graph()
    yield
    tf.reset_default_graph()


def test_every_name_is_there():
    for name in tf.__all__:
        assert getattr(tf, name) is not None, name
    assert distrib.tf.compat.v1 is tf


def test_the_oldest_program():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 500)
    images = (np.eye(784, dtype=np.float32)[labels * 70] + 0.1 * rng.random((500, 784))).astype(np.float32)
    x = tf.placeholder(tf.float32, shape=(None, 784))
    y = tf.placeholder(tf.float32, shape=(None, 10))
    W = tf.Variable(tf.zeros([784, 10]))
    b = tf.Variable(tf.zeros([10]))
    logits = tf.matmul(x, W) + b
    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=logits))
    train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), tf.argmax(y, 1)), tf.float32))
    hot = np.eye(10, dtype=np.float32)[labels]
    config = tf.ConfigProto(
        allow_soft_placement=True,
        log_device_placement=False,
        gpu_options=tf.GPUOptions(per_process_gpu_memory_fraction=0.3),
    )
    with tf.device("/gpu:0"), tf.Session(config=config) as sess:
        sess.run(tf.global_variables_initializer())
        assert sess.run(loss, {x: images, y: hot}) == pytest.approx(np.log(10), rel=1e-6)
        for step in range(1000):
            rows = np.arange(step * 100, step * 100 + 100) % 500
            sess.run(train, feed_dict={x: images[rows], y: hot[rows]})
        assert accuracy.eval(feed_dict={x: images, y: hot}) > 0.99
        value, none, both = sess.run([loss, train, {"w": W, "b": b}], {x: images, y: hot})
    assert value.dtype == np.float32
    assert none is None
    assert both["w"].shape == (784, 10)


def linear(strategy):
    rng = np.random.default_rng(1)
    data, targets = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
    x, y = tf.placeholder("float64", [None, 3]), tf.placeholder("float64", [None, 2])
    rate = tf.placeholder("float64", [])
    w = tf.Variable(np.ones((3, 2)), name="w")
    step = tf.Variable(0, trainable=False)
    loss = tf.reduce_mean(tf.square(tf.matmul(x, w) * rate - y))
    train = tf.train.AdamOptimizer(0.05).minimize(loss, var_list=[w], global_step=step)
    sess = tf.Session()
    sess.run(tf.variables_initializer([w, step]))
    losses = []
    for begin in range(0, 40, 9):
        feed = {x: data[begin : begin + 9], y: targets[begin : begin + 9], rate: 0.5}
        losses.append(float(sess.run([loss, train], feed)[0]))
    assert sess.run(step) == 5
    return [sess.run(w)], losses


@pytest.mark.parametrize("num_replicas", [1, 2, 3, 4])
def test_replicas_train_what_one_process_trains(num_replicas):
    weights, losses = in_one_process(linear)
    for found in on_replicas(num_replicas, linear):
        assert difference(found[0], weights) < 1e-12
        np.testing.assert_allclose(found[1], losses, rtol=1e-12)


def test_nothing_is_computed_before_it_is_run():
    calls = []
    x = tf.placeholder(tf.float32, [None])
    twice = tf.add(x, x) * 2 + np.float32(1)
    noted = tf.Tensor(lambda value: calls.append(1) or value, (twice,))
    total = tf.reduce_sum(noted) + tf.reduce_sum(noted)
    assert calls == []
    with tf.Session() as sess:
        assert sess.run(total, {x: [1.0, 2.0]}) == 28
    assert calls == [1], "each node is computed once"
    assert twice.shape == (None,)
    assert tf.matmul(tf.zeros([2, 3]), tf.zeros([3, 4])).get_shape() == (2, 4)


def test_variables_in_scopes():
    with tf.variable_scope("layer"):
        w = tf.get_variable("w", [2, 2], initializer=tf.ones_initializer())
    with tf.variable_scope("layer", reuse=True):
        assert tf.get_variable("w") is w
    assert [each.name for each in tf.trainable_variables()] == ["layer/w"]
    with tf.variable_scope("layer"), pytest.raises(distrib.ConfigError, match="'layer/w' exists"):
        tf.get_variable("w", [2, 2])
    change = tf.assign(w, w * 3)
    gradient = tf.gradients(tf.reduce_sum(tf.square(w)), [w])[0]
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        sess.run(tf.group(change, w.assign_add(np.ones((2, 2), np.float32))))
        sess.run(change)
        assert sess.run(gradient).tolist() == (2 * sess.run(w)).tolist()


def test_random_operations_draw_anew():
    noise, kept = tf.truncated_normal([1000], stddev=2.0), tf.nn.dropout(tf.ones([1000]), keep_prob=0.5)
    with tf.Session() as sess:
        first, second = sess.run(noise), sess.run(noise)
        assert not np.array_equal(first, second)
        assert np.abs(first).max() <= 4.0
        assert set(np.unique(sess.run(kept))) == {0.0, 2.0}


def test_what_does_not_fit_is_a_sentence():
    x = tf.placeholder(tf.float32, [None, 3], name="images")
    w = tf.Variable(tf.zeros([3]), name="w")
    y = tf.reduce_sum(x * w)
    sess = tf.Session()
    for call, error, match in [
        (
            lambda: sess.run(y, {x: np.ones((2, 4))}),
            distrib.DataError,
            r"'images' has shape \(None, 3\). Received: .* \(2, 4\)",
        ),
        (lambda: sess.run(x), distrib.DataError, "'images' of dtype float32.*has no value"),
        (lambda: sess.run(w), distrib.ConfigError, "'w' is not initialized"),
        (lambda: sess.run("y"), distrib.ConfigError, "expects nodes"),
        (lambda: sess.run(w, {"x": 1}), distrib.ConfigError, "nodes as keys"),
        (lambda: y.eval(), distrib.ConfigError, "no session"),
        (lambda: bool(y), distrib.ConfigError, "no value yet"),
        (lambda: np.asarray(y), distrib.ConfigError, "no value yet"),
        (lambda: tf.Session("grpc://host:2222"), distrib.ConfigError, "runs in this process"),
        (lambda: tf.train.AdamOptimizer().minimize(3.0), distrib.ConfigError, "expects a node"),
        (lambda: tf.layers, MissingNameError, "get_variable"),
        (lambda: tf.train.Saver, MissingNameError, "save_weights"),
    ]:
        with pytest.raises(error, match=match):
            call()
