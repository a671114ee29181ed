"""Every rule against central differences in float64."""

import numpy as np
import pytest
from helpers.slopes import check_gradient
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, mutually_broadcastable_shapes

from distrib.autodiff import operations
from distrib.autodiff.tape import GradientTape
from distrib.autodiff.tensor import Tensor, as_tensor
from distrib.base.errors import ConfigError

ANYWHERE = (-2.0, 2.0)
POSITIVE = (0.3, 2.0)
UNARY = {
    **dict.fromkeys(
        [
            *(np.negative, np.positive, np.conjugate, np.exp, np.exp2, np.expm1, np.square, np.sin, np.cos),
            *(
                np.sinh,
                np.cosh,
                np.tanh,
                np.arcsinh,
                np.arctan,
                np.deg2rad,
                np.rad2deg,
                np.radians,
                np.degrees,
            ),
            *(np.real, np.absolute, np.fabs, np.copy, np.nan_to_num),
        ],
        ANYWHERE,
    ),
    **dict.fromkeys([np.log, np.log2, np.log10, np.log1p, np.sqrt, np.cbrt, np.reciprocal], POSITIVE),
    **dict.fromkeys([np.tan, np.arcsin, np.arccos, np.arctanh], (-0.8, 0.8)),
    np.arccosh: (1.2, 3.0),
}
BINARY = {
    **dict.fromkeys(
        [
            *(
                np.add,
                np.subtract,
                np.multiply,
                np.maximum,
                np.minimum,
                np.fmax,
                np.fmin,
                np.arctan2,
                np.hypot,
            ),
            np.logaddexp,
        ],
        ANYWHERE,
    ),
    **dict.fromkeys([np.true_divide, np.power, np.float_power, np.remainder, np.fmod, np.copysign], POSITIVE),
}


def numbers(rng, shape, bounds=ANYWHERE):
    """Random numbers, none of them near another or near 0, where many functions have a kink."""
    size = int(np.prod(shape))
    low, high = bounds
    grid = low + (high - low) * (np.arange(size) + 0.31) / max(size, 1)
    return rng.permutation(grid).reshape(shape)


@pytest.mark.parametrize("function", UNARY, ids=lambda each: each.__name__)
@settings(max_examples=8, deadline=None)
@given(shape=array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3), seed=st.integers(0, 99))
def test_functions_of_one(function, shape, seed):
    rng = np.random.default_rng(seed)
    check_gradient(function, [numbers(rng, shape, UNARY[function])], rng)


@pytest.mark.parametrize("function", BINARY, ids=lambda each: each.__name__)
@settings(max_examples=15, deadline=None)
@given(
    shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3),
    seed=st.integers(0, 99),
)
def test_functions_of_two_with_broadcasting(function, shapes, seed):
    rng = np.random.default_rng(seed)
    low, high = BINARY[function]
    arrays = [
        numbers(rng, shape, (low + 0.01 * i, high + 0.013 * i)) for i, shape in enumerate(shapes.input_shapes)
    ]
    check_gradient(function, arrays, rng)


@settings(max_examples=40, deadline=None)
@given(
    dims=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    batches=mutually_broadcastable_shapes(num_shapes=2, max_dims=2, min_side=0, max_side=2),
    is_row=st.booleans(),
    is_column=st.booleans(),
    seed=st.integers(0, 99),
)
def test_matmul(dims, batches, is_row, is_column, seed):
    rng = np.random.default_rng(seed)
    a_batch, b_batch = batches.input_shapes
    a = rng.normal(size=(dims[1],) if is_row else (*a_batch, dims[0], dims[1]))
    b = rng.normal(size=(dims[1],) if is_column else (*b_batch, dims[1], dims[2]))
    check_gradient(np.matmul, [a, b], rng)
    check_gradient(lambda a, b: a @ b, [a, b], rng)


REDUCTIONS = [np.sum, np.mean, np.max, np.min, np.var, np.std, np.prod, np.ptp]


@pytest.mark.parametrize("function", REDUCTIONS, ids=lambda each: each.__name__)
@settings(max_examples=15, deadline=None)
@given(
    shape=array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=3),
    data=st.data(),
    keepdims=st.booleans(),
    seed=st.integers(0, 99),
)
def test_reductions(function, shape, data, keepdims, seed):
    axes = st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True).map(tuple)
    axis = data.draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1), axes))
    rng = np.random.default_rng(seed)
    check_gradient(lambda a: function(a, axis=axis, keepdims=keepdims), [numbers(rng, shape)], rng)


A = (3, 4)
SQUARE = (3, 3)
PROGRAMS = {
    "x.sum": (lambda a: a.sum(0), [A]),
    "x.mean": (lambda a: a.mean(axis=1, keepdims=True), [A]),
    "x.max": (lambda a: a.max(), [A]),
    "x.T": (lambda a: a.T @ a, [A]),
    "x.mT": (lambda a: a.mT, [(2, 3, 4)]),
    "x.reshape": (lambda a: a.reshape(2, 6) * a.reshape((2, -1)), [A]),
    "x.flatten": (lambda a: a.flatten() ** 2, [A]),
    "x.ravel": (lambda a: a.ravel(), [A]),
    "x.astype": (lambda a: a.astype("float64") * 2, [A]),
    "x.transpose": (lambda a: a.transpose(1, 0, 2), [(2, 3, 4)]),
    "x.clip": (lambda a: a.clip(-1, 1), [A]),
    "x.dot": (lambda a, b: a.dot(b), [A, (4, 2)]),
    "x.squeeze": (lambda a: a.squeeze(), [(3, 1, 4)]),
    "x.cumsum": (lambda a: a.cumsum(1), [A]),
    "x.std": (lambda a: a.std(0, ddof=1), [A]),
    "x += y": (lambda a, b: _added(a, b), [A, A]),
    "x**3": (lambda a: a**3, [A]),
    "x**0": (lambda a: a**0 + a, [A]),
    "2**x": (lambda a: 2.0**a, [A]),
    "abs": (lambda a: abs(a), [A]),
    "x[1]": (lambda a: a[1], [A]),
    "x[:, 1:3]": (lambda a: a[:, 1:3], [A]),
    "x[::-1]": (lambda a: a[::-1], [A]),
    "x[..., None]": (lambda a: a[..., None], [A]),
    "x[indices]": (lambda a: a[[0, 0, 2]], [A]),
    "x[indices, indices]": (lambda a: a[np.array([0, 0, 2]), np.array([1, 1, 3])], [A]),
    "x[mask]": (lambda a: a[np.asarray(a) > 0], [A]),
    "iteration": (lambda a: sum(row * index for index, row in enumerate(a)), [A]),
    "where": (lambda a, b: np.where(np.asarray(a) > 0, a, b), [A, (4,)]),
    "clip": (lambda a: np.clip(a, -1, 1), [A]),
    "clip by tensors": (np.clip, [A, (4,), ()]),
    "take": (lambda a: np.take(a, [1, 1, 0], axis=1), [A]),
    "take of all": (lambda a: np.take(a, [1, 1, 7]), [A]),
    "take_along_axis": (lambda a: np.take_along_axis(a, np.argsort(np.asarray(a), 0), 0), [A]),
    "compress": (lambda a: np.compress([True, False, True], a, axis=0), [A]),
    "extract": (lambda a: np.extract(np.asarray(a) > 0, a), [A]),
    "delete": (lambda a: np.delete(a, 1, 0), [A]),
    "sort": (lambda a: np.sort(a, axis=0), [A]),
    "partition": (lambda a: np.partition(a, 1, axis=1)[:, :2].sum(1), [A]),
    "median": (lambda a: np.median(a, axis=1), [A]),
    "median of all": (lambda a: np.median(a, keepdims=True), [A]),
    "concatenate": (lambda a, b: np.concatenate([a, b], axis=1), [A, (3, 2)]),
    "stack": (lambda a, b: np.stack([a, b], axis=-1), [A, A]),
    "vstack": (lambda a, b: np.vstack([a, b]), [A, (4,)]),
    "hstack": (lambda a, b: np.hstack([a, b]), [A, (3, 2)]),
    "dstack": (lambda a, b: np.dstack([a, b]), [A, A]),
    "column_stack": (lambda a, b: np.column_stack([a, b]), [A, (3,)]),
    "append": (lambda a, b: np.append(a, b), [A, (3,)]),
    "append axis": (lambda a, b: np.append(a, b, 0), [A, (1, 4)]),
    "split": (lambda a: np.split(a, 2, axis=1)[1], [A]),
    "array_split": (lambda a: np.array_split(a, [1], axis=0)[1], [A]),
    "hsplit": (lambda a: np.hsplit(a, 2)[0], [A]),
    "vsplit": (lambda a: np.vsplit(a, 3)[2], [A]),
    "tile": (lambda a: np.tile(a, (2, 1, 2)), [A]),
    "repeat": (lambda a: np.repeat(a, [1, 0, 2], axis=0), [A]),
    "pad": (lambda a: np.pad(a, ((1, 0), (0, 2)), constant_values=3.0), [A]),
    "pad reflect": (lambda a: np.pad(a, 1, mode="reflect"), [A]),
    "diff": (lambda a: np.diff(a, 2), [A]),
    "flip": (lambda a: np.flip(a, 1) * a, [A]),
    "fliplr": (lambda a: np.fliplr(a) * a, [A]),
    "flipud": (lambda a: np.flipud(a) * a, [A]),
    "rot90": (lambda a: np.rot90(a), [A]),
    "roll": (lambda a: np.roll(a, 1, 0) * a, [A]),
    "rollaxis": (lambda a: np.rollaxis(a, 2, 0), [(2, 3, 4)]),
    "moveaxis": (lambda a: np.moveaxis(a, 0, -1), [(2, 3, 4)]),
    "swapaxes": (lambda a: np.swapaxes(a, 0, 2), [(2, 3, 4)]),
    "transpose": (lambda a: np.transpose(a, (2, 0, 1)), [(2, 3, 4)]),
    "expand_dims": (lambda a: np.expand_dims(a, (0, 2)), [A]),
    "broadcast_to": (lambda a: np.broadcast_to(a, (2, 3, 4)), [(3, 1)]),
    "atleast": (lambda a: np.atleast_1d(a) + np.atleast_2d(a) + np.atleast_3d(a), [()]),
    "cumsum of all": (lambda a: np.cumsum(a), [A]),
    "cumprod": (lambda a: np.cumprod(a, axis=1), [A]),
    "average": (lambda a, b: np.average(a, axis=0, weights=b), [A, (3,)]),
    "nansum": (lambda a: np.nansum(a, axis=0), [A]),
    "nanmean": (lambda a: np.nanmean(a, axis=0), [A]),
    "dot": (np.dot, [A, (4,)]),
    "dot of many": (np.dot, [A, (2, 4, 3)]),
    "inner": (np.inner, [A, (2, 4)]),
    "vdot": (np.vdot, [A, A]),
    "outer": (np.outer, [(3,), (4,)]),
    "tensordot": (lambda a, b: np.tensordot(a, b, 1), [A, (4, 2)]),
    "tensordot axes": (lambda a, b: np.tensordot(a, b, ([0, 1], [1, 0])), [A, (4, 3, 2)]),
    "einsum": (lambda a, b: np.einsum("ij,jk->ki", a, b), [A, (4, 2)]),
    "einsum of three": (lambda a, b, c: np.einsum("ij,jk,i->k", a, b, c), [A, (4, 2), (3,)]),
    "einsum without arrow": (lambda a, b: np.einsum("ij,jk", a, b), [A, (4, 2)]),
    "einsum with dots": (lambda a, b: np.einsum("...ij,jk->...ik", a, b), [(2, 3, 4), (4, 2)]),
    "einsum of a sum": (lambda a, b: np.einsum("ij,k->k", a, b), [A, (2,)]),
    "trace": (lambda a: np.trace(a, 1), [A]),
    "diagonal": (lambda a: np.diagonal(a, -1), [A]),
    "diag": (lambda a: np.diag(a, 1), [(3,)]),
    "diag of a matrix": (lambda a: np.diag(a), [A]),
    "tril": (lambda a: np.tril(a, -1), [A]),
    "triu": (lambda a: np.triu(a), [A]),
    "inv": (lambda a: np.linalg.inv(a + 3 * np.eye(3)), [SQUARE]),
    "det": (lambda a: np.linalg.det(a + 3 * np.eye(3)), [SQUARE]),
    "solve": (lambda a, b: np.linalg.solve(a + 4 * np.eye(3), b), [SQUARE, (3, 2)]),
    "cholesky": (lambda a: np.linalg.cholesky(a @ a.T + 4 * np.eye(3)), [SQUARE]),
    "norm": (lambda a: np.linalg.norm(a), [A]),
    "norm axis": (lambda a: np.linalg.norm(a, axis=1, keepdims=True), [A]),
    "norm 1": (lambda a: np.linalg.norm(a, 1, axis=0), [A]),
    "norm 3": (lambda a: np.linalg.norm(a, 3, axis=0), [A]),
    "norm inf": (lambda a: np.linalg.norm(a, np.inf, axis=0), [A]),
}


def _added(a, b):
    c = a * 1
    c += b
    return c * a


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    function, shapes = PROGRAMS[name]
    rng = np.random.default_rng(len(name))
    check_gradient(function, [numbers(rng, shape) for shape in shapes], rng)


def test_every_rule_is_tested():
    used = set(UNARY) | set(BINARY) | set(REDUCTIONS) | {np.matmul}
    text = {getattr(np, name.split(" ")[0].split(".")[-1], None) for name in PROGRAMS} | {
        getattr(np.linalg, name.split(" ")[0], None) for name in PROGRAMS
    }
    known = set(operations.RULES) | set(operations.COMPOSITES)
    in_other_words = {
        np.squeeze,
        np.ravel,
        np.reshape,
        np.atleast_1d,
        np.atleast_2d,
        np.atleast_3d,
        np.amax,
        np.amin,
    }
    missing = {
        each.__name__ for each in known - used - text - in_other_words if each.__module__.startswith("numpy")
    }
    assert not missing - {"permute_dims", "clip"}


def test_no_method_of_arrays_loses_the_gradient():
    """Methods and attributes of arrays that return arrays are recorded, refused, or constants."""
    rng = np.random.default_rng(0)
    square = [np.ones((3, 3))]
    arguments = {
        **{
            "astype": ("float64",),
            "byteswap": (),
            "choose": (square * 3,),
            "clip": (0, 1),
            "dot": square,
            "fill": (0,),
        },
        **{
            "compress": ([True, False, True], 0),
            "getfield": ("float64",),
            "partition": (1,),
            "put": ([0], 1.0),
        },
        **{
            "repeat": (2,),
            "reshape": (9,),
            "resize": ((9,),),
            "searchsorted": (0.5,),
            "setfield": (1.0, "float64"),
        },
        **{
            "swapaxes": (0, 1),
            "take": ([0],),
            "argpartition": (1,),
            "to_device": ("cpu",),
            "view": (np.ndarray,),
        },
    }
    left = {"dump", "tofile", "setflags", "newbyteorder", "itemset", "__array__"}
    constants = {
        "all",
        "any",
        "argmax",
        "argmin",
        "argpartition",
        "argsort",
        "nonzero",
        "round",
        "searchsorted",
        "imag",
    }
    seen = 0
    for name in dir(np.ndarray):
        if name.startswith("_") or name in left:
            continue
        x = as_tensor(rng.permutation(9).astype(float) if name == "searchsorted" else rng.normal(size=(3, 3)))
        with GradientTape() as tape:
            tape.watch(x)
            try:
                found = getattr(x, name)
                if callable(found):
                    found = found(*arguments.get(name, ()))
            except (ConfigError, ValueError, TypeError):
                seen += 1
                continue
        if type(found) is Tensor and name not in constants:
            assert found.node is not None, name
            seen += 1
    assert seen > 30


def test_an_operation_without_a_rule_names_itself():
    x = as_tensor(np.eye(3))
    with GradientTape() as tape:
        tape.watch(x)
        with pytest.raises(ConfigError, match=r"numpy\.svd has no gradient.*custom_gradient"):
            np.linalg.svd(x)
        with pytest.raises(ConfigError, match=r"numpy\.convolve has no gradient"):
            np.convolve(x[0], [1.0, 2.0])
        with pytest.raises(ConfigError, match=r"numpy\.multiply with out"):
            np.multiply(x, 2, out=np.empty((3, 3)))
        with pytest.raises(ConfigError, match=r"numpy\.multiply\.outer"):
            np.multiply.outer(x, x)
        with pytest.raises(ConfigError, match="comes twice in one operand"):
            np.einsum("ii->i", x)
    assert np.linalg.svd(x).S.shape == (3,), "nobody records any more"


def test_values_in_place_are_refused():
    x = as_tensor(np.ones(3))
    with GradientTape() as tape:
        tape.watch(x)
        y = x * 2
        for change in (
            lambda: y.__setitem__(0, 1.0),
            lambda: np.add(1, 1, out=y),
            lambda: y.fill(0),
            lambda: y.sort(),
            lambda: np.copyto(y, 0),
        ):
            with pytest.raises(ConfigError, match=r"has recorded cannot|has no gradient"):
                change()
    assert tape.gradient(y, x).tolist() == [2, 2, 2]
