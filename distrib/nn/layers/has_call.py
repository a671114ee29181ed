"""HasCall: layers of one's own. A subclass of `Layer` says what it computes in `call`, as in Keras.

    class Linear(Layer):
        def __init__(self, units):
            super().__init__()
            self.units = units

        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], self.units))

        def call(self, inputs):
            return inputs @ self.w

`call` is written in NumPy functions, those of `distrib.tf`, and other layers. Its gradient is that of a tape.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np

from distrib.autodiff.structures import flat, in_structure
from distrib.autodiff.tensor import Tensor, as_tensor, read
from distrib.base.arrays import Array, Shape
from distrib.base.errors import ConfigError, ShapeError
from distrib.nn import constraints, initializers, regularizers
from distrib.nn.calls.call_context import CallContext, current_context, in_call, in_context
from distrib.nn.graph.symbolic import is_symbolic, map_leaves
from distrib.nn.layers.has_parts import HasParts
from distrib.nn.layers.shapes import snake_case, unique_name
from distrib.nn.layers.taped_call import TapedCall
from distrib.nn.rng import RngKey
from distrib.nn.variable import Variable


class HasCall(HasParts):
    """What a subclass finds, and what it can say.

    Attributes:
        built: whether `build` was called.
        dtype: of its variables and computations.
        serial: of layers made so far.
        input_shape: shape of one example.
        output_shape: likewise.
        needs_input_gradient: see `Layer`.
    """

    built: bool
    dtype: np.dtype[Any]
    serial: int
    input_shape: Any
    output_shape: Any
    needs_input_gradient: bool
    declared_dtype: np.dtype[Any] | None
    takes_several: bool
    _taped: TapedCall | None = None

    # --- what a subclass overrides ------------------------------------------------------------------------------

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs. Takes `training` if it has an argument of that name.

        Args:
            inputs: a tensor `(batch, ...)`, or a structure of tensors.
            args: other arguments of a subclass.
            kwargs: likewise.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither call nor forward.")

    call.is_open = True  # type: ignore[attr-defined]

    def build(self, input_shape: Any) -> None:
        """Make the variables that depend on the shape of the inputs. Called once, before the first call.

        Args:
            input_shape: with the batch, whose size is None; a structure of shapes where there are several inputs.
        """

    # --- what a subclass calls ----------------------------------------------------------------------------------

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str | None = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> Variable:
        """A new variable of this layer.

        Args:
            shape: its shape; `()` by default.
            initializer: name or instance; `"glorot_uniform"` by default, zeros for one that is not trained.
            dtype: that of the layer by default.
            trainable: whether an optimizer may update it.
            autocast: accepted for Keras' sake.
            regularizer: name or instance of a penalty on it.
            constraint: name or instance of a constraint on it.
            aggregation: how replicas combine a variable that is not trained, after each step: `"mean"`, weighted by
                the number of examples, which is also the default; `"sum"`, of what each has added; or
                `"only_first_replica"`.
            overwrite_with_gradient: False.
            name: the last part of its name; numbered if it is taken.
            kwargs: of earlier versions of Keras: `synchronization`, `use_resource`, without effect.

        Raises:
            ConfigError: an unknown name, or something that is not supported.
        """
        if isinstance(shape, str):  # Keras 2 had the name first
            shape, name = initializer, shape
            initializer = None
        unknown = set(kwargs) - {"synchronization", "use_resource", "experimental_autocast", "partitioner"}
        if unknown or overwrite_with_gradient:
            raise ConfigError(f"add_weight does not support {sorted(unknown) or 'overwrite_with_gradient'}.")
        taken = {each.name.rpartition("/")[2] for each in self.parts.variables}
        role = unique_name(name or "variable", taken)
        shape = () if shape is None else tuple(np.atleast_1d(shape).tolist())
        kind = np.dtype(dtype or self.dtype)
        if initializer is None:
            initializer = "glorot_uniform" if trainable and kind.kind == "f" else "zeros"
        context = current_context()
        seed = self.serial if context is None else context.own_seed
        full_name = f"{self.name or snake_case(type(self).__name__)}/{role}"
        drawn_as = kind if kind.kind == "f" else np.dtype(np.float32)
        value = initializers.get(initializer)(shape, drawn_as, seed=seed, name=full_name)
        variable = Variable(value.astype(kind), trainable, full_name, aggregation=aggregation)
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        self.parts.add_variable(variable)
        return variable

    def add_loss(self, loss: Any) -> None:
        """Add to the loss, within `call`: a number, such as a mean over the examples of the batch.

        Training weighs it with the number of examples, so that a mean over the batch is the same on any number of
        replicas, and so is what depends on variables only. A sum over the examples is not: divide it.

        Args:
            loss: a tensor without axes; or several, in a list.

        Raises:
            ConfigError: outside of `call`.
        """
        context = current_context()
        if context is None or is_symbolic(loss):
            raise ConfigError(
                f"{type(self).__name__} '{self.name}' adds to the loss within call. Received: add_loss outside, "
                "or with a symbolic tensor. Write a layer whose call adds it."
            )
        for each in flat(loss):
            value = each() if callable(each) else each
            context.losses.append(as_tensor(read(np.mean(value) if np.ndim(value) else value)))

    def add_metric(self, *args: Any, **kwargs: Any) -> None:
        """Not supported. Raises `ConfigError`: Keras 3 has none either."""
        raise ConfigError(
            "Keras 3 has no add_metric. Keep a metric as an attribute of the model, update it in train_step, or pass "
            "it to compile."
        )

    # --- how it is called ---------------------------------------------------------------------------------------

    def _call_own(
        self, inputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any], training: bool | None
    ) -> Any:
        """`call` on arrays, built if it has to be."""
        context = current_context()
        if not self.built and context is not None and self.declared_dtype is None:
            self.dtype = context.dtype
        inputs = in_structure(inputs, [_of_dtype(each, self.dtype) for each in flat(inputs)])
        self.name = self.name or f"{snake_case(type(self).__name__)}_{self.serial}"
        first = flat(inputs)[0]
        rows = len(first) if np.ndim(first) else None
        with in_call(self, training, self.dtype, self.serial, rows) as context:
            self._build_once(map_leaves(lambda each: (None, *np.shape(each)[1:]), inputs))
            if self._takes("training"):
                kwargs = {**kwargs, "training": context.training}
            outputs = self.call(inputs, *args, **kwargs)
        if isinstance(outputs, np.ndarray) and outputs.ndim:
            self.output_shape = outputs.shape[1:]
        return outputs

    def call_inside(self, inputs: Any) -> Any:
        """`call` within a forward pass, of which the context says whether it trains."""
        return self._call_own(inputs, (), {}, None)

    def _takes(self, name: str) -> bool:
        parameters = inspect.signature(self.call).parameters
        return name in parameters

    def _build_once(self, input_shape: Any) -> None:
        if not self.built:
            type(self).build(self, input_shape)
            self.built = True

    def _prepare_own(self, input_shape: Any, seed: int) -> None:
        """Make the variables, those of its layers, too, and find the shape of the outputs."""
        taken = input_shape if isinstance(input_shape, list) else [input_shape]
        zeros = [as_tensor(np.zeros((2, *shape), self.dtype)) for shape in taken]
        context = CallContext(False, None, self.dtype, seed, 2)
        before = {id(each): each.numpy() for each in self.variables if not each.trainable}
        with in_context(context), np.errstate(all="ignore"):
            outputs = flat(self._call_own(zeros if isinstance(input_shape, list) else zeros[0], (), {}, None))
        for variable, initial in self.states():  # which the call may have changed
            variable.assign(before.get(id(variable), initial))
        for each in outputs:
            if np.ndim(each) < 1 or len(each) != 2:
                raise ShapeError(
                    f"{type(self).__name__} '{self.name}' expects a row for each example from call. Received: shape "
                    f"{np.shape(each)} for 2 examples."
                )
        shapes = [tuple(each.shape[1:]) for each in outputs]
        self.takes_several = isinstance(input_shape, list)
        self.output_shape = shapes if len(shapes) > 1 else shapes[0]

    def _own_outputs(self, input_shapes: list[Shape]) -> Any:
        """Shapes of the outputs, in their structure, without making the variables."""
        layer = self if self.built else copy.deepcopy(self)
        taken = input_shapes if len(input_shapes) > 1 else input_shapes[0]
        layer._prepare_own(taken, 0)
        return layer.output_shape

    def forward(self, x: Any, draw: RngKey | None) -> Any:
        """Compute the outputs of a batch, and keep what `backward` needs until the next call.

        Args:
            x: `(batch, *input_shape)`, or a list of these. Not modified.
            draw: which random numbers to draw while training; None when not training.

        Returns:
            `(batch, *output_shape)`, valid until the next call; or a list of these.
        """
        if self._taped is None:
            self._taped = TapedCall(self)
        return self._taped.forward(x, draw)

    def backward(self, d_y: Any) -> Any:
        """Write the variables' gradients for the last forward pass, and return that of its input.

        Args:
            d_y: `(batch, *output_shape)`, gradient of the summed loss, or a list of these. May be overwritten.

        Returns:
            `(batch, *input_shape)`, or a list of these; unspecified where `needs_input_gradient` is False.
        """
        assert self._taped is not None
        return self._taped.backward(d_y)

    @property
    def added_losses(self) -> list[Array]:
        """What `add_loss` has added in the last forward pass."""
        return [] if self._taped is None else self._taped.losses


def _of_dtype(value: Any, dtype: np.dtype[Any]) -> Any:
    """An input as a tensor, in the layer's dtype if it has floats."""
    if value is None or isinstance(value, bool | int | str):
        return value
    tensor = value if isinstance(value, Tensor) else as_tensor(read(value))
    return tensor.astype(dtype) if tensor.dtype.kind == "f" and tensor.dtype != dtype else tensor
