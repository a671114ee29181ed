"""The parts under the layers: variables, the flat buffer, optimizers, random numbers, names."""

import itertools
import math

import numpy as np
import pytest
from helpers.optimizers import OPTIMIZERS, WHOLE_TENSORS
from hypothesis import given, settings
from hypothesis import strategies as st

from distrib import ConfigError, ShapeError, Variable, activations, constant, initializers, losses, optimizers
from distrib.base.ranges import Range, split
from distrib.nn import metrics, regularizers
from distrib.nn.erf import erf
from distrib.nn.flat_buffer import FlatBuffer
from distrib.nn.layers import Dropout
from distrib.nn.rng import RngKey

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


class TestVariable:
    def test_assignments_write_in_place(self):
        variable = Variable([[1.0, 2.0], [3.0, 4.0]], name="w")
        memory = variable.value
        assert (variable.shape, variable.dtype, variable.size) == ((2, 2), F32, 4)
        variable.assign([[1, 1], [1, 1]]).assign_add(np.full((2, 2), 2.0)).assign_sub([[0, 1], [2, 3]])
        np.testing.assert_array_equal(variable.numpy(), [[3, 2], [1, 0]])
        assert variable.value is memory
        assert variable.assign(Variable(np.zeros((2, 2)))).dtype == F32

    @pytest.mark.parametrize("method", ["assign", "assign_add", "assign_sub"])
    @pytest.mark.parametrize("wrong", [1.0, [1.0, 2.0], np.zeros((2, 1)), np.zeros((1, 2, 2))])
    def test_another_shape_is_refused_and_nothing_written(self, method, wrong):
        variable = Variable(np.ones((2, 2)), name="w")
        with pytest.raises(ShapeError, match=rf"'w'\.{method} expects shape \(2, 2\)"):
            getattr(variable, method)(wrong)
        np.testing.assert_array_equal(variable.value, np.ones((2, 2)))

    def test_initial_value_is_copied_and_numpy_is_a_copy(self):
        source = np.ones(3)
        variable = Variable(source)
        source[:] = 7
        variable.numpy()[:] = 8
        np.testing.assert_array_equal(variable, np.ones(3))
        assert np.asarray(variable, dtype=F32).dtype == F32


class TestConstant:
    @pytest.mark.parametrize(
        ("value", "dtype"),
        [
            (1.5, "float32"),
            ([1, 2], "int32"),
            (np.ones(2), "float64"),
            (np.int64(3), "int64"),
            (True, "bool"),
        ],
    )
    def test_dtypes(self, value, dtype):
        assert constant(value).dtype == dtype
        assert constant(value, dtype="float64").dtype == F64

    def test_fill_and_shape(self):
        np.testing.assert_array_equal(constant(2.0, shape=(2, 3)), np.full((2, 3), 2.0))
        with pytest.raises(ShapeError):
            constant([1.0, 2.0], shape=(3,))

    def test_read_only(self):
        with pytest.raises(ValueError, match="read-only"):
            constant([1.0, 2.0])[0] = 3.0


class TestFlatBuffer:
    def make(self):
        variables = [
            Variable(np.arange(6.0).reshape(2, 3), name="a"),
            Variable([9.0], name="b", dtype="float64"),
            Variable(np.arange(4.0).reshape(2, 2), name="c"),
        ]
        return variables, FlatBuffer({variable.name: variable for variable in variables}, F64)

    def test_variables_are_views(self):
        variables, buffer = self.make()
        np.testing.assert_array_equal(buffer.values, [0, 1, 2, 3, 4, 5, 9, 0, 1, 2, 3])
        assert [entry.range for entry in buffer.layout] == [(0, 6), (6, 7), (7, 11)]
        variables[2].assign_add(np.ones((2, 2)))
        variables[0].grad[1, 2] = 5.0
        buffer.values[6] = -1.0
        np.testing.assert_array_equal(buffer.values[7:], [1, 2, 3, 4])
        assert variables[1].value[0] == -1.0
        assert buffer.grads[5] == 5.0
        assert all(np.shares_memory(v.value, buffer.values) for v in variables)
        assert all(np.shares_memory(v.grad, buffer.grads) for v in variables)

    def test_the_values_follow_a_variable_that_another_buffer_has_taken(self):
        variables, buffer = self.make()
        other = FlatBuffer({"shared": variables[2]}, F64)
        other.values += 10.0
        np.testing.assert_array_equal(buffer.values[7:], [0, 1, 2, 3])
        buffer.gather()
        np.testing.assert_array_equal(buffer.values, [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13])
        assert np.shares_memory(variables[2].value, buffer.values)
        assert np.shares_memory(variables[2].grad, buffer.grads)
        buffer.values[7] = -1.0
        other.gather()
        np.testing.assert_array_equal(other.values, [-1, 11, 12, 13])

    def test_rebind_goes_on_with_the_values_of_other_memory(self):
        variables, buffer = self.make()
        old, before = buffer.values, np.arange(11.0)
        values, grads = np.arange(11.0), np.full(11, 3.0)
        buffer.rebind(values, grads)
        assert buffer.values is values
        assert buffer.grads is grads
        np.testing.assert_array_equal(values, before)
        np.testing.assert_array_equal(grads, np.full(11, 3.0))
        old[:] = 77.0
        variables[0].assign(np.zeros((2, 3)))
        assert not values[:6].any()

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("index", range(11))
    def test_first_nonfinite(self, bad, index):
        _, buffer = self.make()
        buffer.grads[index] = bad
        expected = next(i for i, entry in enumerate(buffer.layout) if index < entry.range.end)
        assert buffer.first_nonfinite(buffer.grads) == expected
        for part in split(11, 3):
            inside = part.begin <= index < part.end
            assert buffer.first_nonfinite(buffer.grads, part) == (expected if inside else None)

    def test_large_but_finite_is_finite(self):
        _, buffer = self.make()
        with np.errstate(over="ignore"):
            buffer.grads[:] = 1e300
            assert buffer.first_nonfinite(buffer.grads) is None

    @given(st.integers(0, 11), st.integers(0, 11))
    def test_entries_in_cover_the_part(self, begin, end):
        _, buffer = self.make()
        part = Range(begin, max(begin, end))
        elements = [i for _, own in buffer.entries_in(part) for i in range(own.begin, own.end)]
        assert elements == list(range(part.begin, part.end))


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name not in WHOLE_TENSORS])
@settings(max_examples=15, deadline=None)
@given(size=st.integers(1, 70_000), parts=st.integers(1, 9), seed=st.integers(0, 99))
def test_update_of_parts_equals_update_of_the_whole_bit_for_bit(name, dtype, size, parts, seed):
    rng = np.random.default_rng(seed)
    start = rng.normal(size=size).astype(dtype)
    whole, pieces = start.copy(), start.copy()
    optimizer = OPTIMIZERS[name]()
    optimizer.build(size, dtype)
    owners = [(OPTIMIZERS[name](), part.slice) for part in split(size, parts)]
    for owner, part in owners:
        owner.build(part.stop - part.start, dtype)
    for _ in range(2):
        grads = rng.normal(size=size).astype(dtype)
        optimizer.apply_range(whole, grads.copy(), 1 / 3)
        for owner, part in owners:
            owner.apply_range(pieces[part], grads[part].copy(), 1 / 3)
        assert whole.tobytes() == pieces.tobytes()
        assert not np.array_equal(whole, start), "nothing was updated"
        start = whole.copy()


@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.SGD(-1.0),
        lambda: optimizers.SGD(math.nan),
        lambda: optimizers.SGD(momentum=1.1),
        lambda: optimizers.Adam(beta_1=1.0),
        lambda: optimizers.Adam(beta_2=-0.1),
        lambda: optimizers.Adam(weight_decay=-0.1),
        lambda: optimizers.AdamW(weight_decay=None),
        lambda: optimizers.Adamax(beta_1=1.0),
        lambda: optimizers.Nadam(beta_2=1.0),
        lambda: optimizers.RMSprop(rho=1.1),
        lambda: optimizers.RMSprop(momentum=-0.1),
        lambda: optimizers.Adagrad(initial_accumulator_value=-1.0),
        lambda: optimizers.Adadelta(rho=-0.1),
        lambda: optimizers.Ftrl(learning_rate_power=0.5),
        lambda: optimizers.Ftrl(l1_regularization_strength=-0.5),
        lambda: optimizers.Lion(beta_1=0.0),
    ],
)
def test_optimizer_arguments(make):
    with pytest.raises(ConfigError):
        make()


class TestDropout:
    def outputs(self, rows, draw, shape=(3, 5), seed=None):
        layer = Dropout(0.5, seed=seed, name="drop")
        layer.prepare(shape, F32, 0)
        return layer.forward(np.ones((rows, *shape), F32), draw).copy()

    @given(
        cuts=st.lists(st.integers(0, 13), max_size=5),
        position=st.integers(0, 2**40),
        features=st.integers(1, 20),
    )
    @settings(deadline=None)
    def test_mask_does_not_depend_on_the_split(self, cuts, position, features):
        whole = self.outputs(13, RngKey(1, 2, position), (features,))
        edges = [0, *sorted(cuts), 13]
        parts = [
            self.outputs(end - begin, RngKey(1, 2, position + begin), (features,))
            for begin, end in itertools.pairwise(edges)
        ]
        np.testing.assert_array_equal(np.concatenate(parts), whole)

    def test_masks_differ_by_seed_epoch_position_but_not_with_a_seed_of_their_own(self):
        reference = self.outputs(8, RngKey(1, 1, 0))
        for other in (RngKey(2, 1, 0), RngKey(1, 2, 0), RngKey(1, 1, 8)):
            assert not np.array_equal(self.outputs(8, other), reference)
        own = self.outputs(8, RngKey(1, 1, 0), seed=4)
        np.testing.assert_array_equal(self.outputs(8, RngKey(9, 1, 0), seed=4), own)

    def test_share_and_scale(self):
        layer = Dropout(0.2, name="drop")
        layer.prepare((1000,), F64, 0)
        x = np.ones((200, 1000))
        y = layer.forward(x, RngKey(0, 0, 0))
        assert set(np.unique(y)) == {0.0, 1.25}
        assert np.mean(y == 0) == pytest.approx(0.2, abs=5 * math.sqrt(0.16 / 200_000))
        np.testing.assert_array_equal(layer.backward(np.ones_like(x)), y)
        assert layer.forward(x, None) is x

    @pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
    def test_rate(self, rate):
        with pytest.raises(ConfigError):
            Dropout(rate)


class TestInitializers:
    @pytest.mark.parametrize(
        ("name", "shape", "stddev", "bound"),
        [
            ("glorot_uniform", (300, 200), math.sqrt(1 / 250), math.sqrt(3 / 250)),
            ("glorot_normal", (300, 200), math.sqrt(1 / 250), 2 * math.sqrt(1 / 250) / 0.87962566103423978),
            ("he_uniform", (300, 200), math.sqrt(2 / 300), math.sqrt(6 / 300)),
            ("he_normal", (300, 200), math.sqrt(2 / 300), 2 * math.sqrt(2 / 300) / 0.87962566103423978),
            ("lecun_uniform", (300, 200), math.sqrt(1 / 300), math.sqrt(3 / 300)),
            ("lecun_normal", (3, 100, 200), math.sqrt(1 / 300), 2 * math.sqrt(1 / 300) / 0.87962566103423978),
            ("random_uniform", (300, 200), 0.05 / math.sqrt(3), 0.05),
            ("truncated_normal", (300, 200), 0.05 * 0.87962566103423978, 0.1),
            ("random_normal", (300, 200), 0.05, None),
        ],
    )
    def test_distribution(self, name, shape, stddev, bound):
        values = initializers.get(name)(shape, "float64", seed=1, name="dense/kernel")
        assert values.shape == shape
        assert values.std() == pytest.approx(stddev, rel=0.015)
        assert abs(values.mean()) < 5 * stddev / math.sqrt(values.size)
        if bound is not None:
            assert 0.99 * bound < np.abs(values).max() <= bound
        else:
            assert np.abs(values).max() > 3 * stddev

    def test_same_seed_and_name_same_values(self):
        glorot = initializers.GlorotUniform()
        first = glorot((4, 5), seed=1, name="a")
        assert first.dtype == F32
        np.testing.assert_array_equal(initializers.GlorotUniform()((4, 5), seed=1, name="a"), first)
        assert not np.array_equal(glorot((4, 5), seed=2, name="a"), first)
        assert not np.array_equal(glorot((4, 5), seed=1, name="b"), first)
        fixed = initializers.GlorotUniform(seed=7)
        np.testing.assert_array_equal(
            fixed((4, 5), seed=1, name="a"), initializers.GlorotUniform(seed=7)((4, 5), seed=2, name="a")
        )

    def test_constants(self):
        np.testing.assert_array_equal(initializers.get("zeros")((2,)), np.zeros(2))
        np.testing.assert_array_equal(initializers.get("ones")((2,)), np.ones(2))
        np.testing.assert_array_equal(initializers.Constant(2.5)((2,)), [2.5, 2.5])

    @pytest.mark.parametrize("arguments", [{"scale": 0}, {"mode": "fan"}, {"distribution": "normal"}])
    def test_arguments(self, arguments):
        with pytest.raises(ConfigError):
            initializers.VarianceScaling(**arguments)


@pytest.mark.parametrize(
    ("get", "wrong", "right"),
    [
        (activations.get, "rellu", "relu"),
        (initializers.get, "glorot_unifrom", "glorot_uniform"),
        (losses.get, "categorical_crossentropi", "categorical_crossentropy"),
        (lambda name: metrics.get(name, (3,), True), "categorical_acuracy", "categorical_accuracy"),
        (optimizers.get, "adm", "adam"),
        (regularizers.get, "l1l2", "l1_l2"),
    ],
)
def test_unknown_name_is_an_error_with_a_suggestion(get, wrong, right):
    with pytest.raises(ConfigError, match=rf"'{wrong}'\. Did you mean '{right}'\?"):
        get(wrong)
    with pytest.raises(ConfigError, match=r"Unknown .*'zzzzzz'\. Known are: "):
        get("zzzzzz")
    with pytest.raises(ConfigError, match="Received: 3 of type int"):
        get(3)
    assert type(get(right.upper())) is type(get(right))
    instance = get(right)
    assert get(instance) is instance


def test_erf():
    x = np.concatenate([np.linspace(-7, 7, 20_001), [0.0, 1e-300, 1e-10, 30.0, -1e3]])
    error = np.abs(erf(x) - [math.erf(value) for value in x])
    assert error.max() <= 1e-15
    assert erf(x.astype(F32)).dtype == F32
    assert np.abs(erf(x.astype(F32)) - erf(x)).max() < 3e-7
