"""The checks of a model, one function each. Each answers with a sentence, and a hint for one who fails.

They follow the advice on tests of models in Karpathy's "A Recipe for Training Neural Networks" (2019) and of
`mltest` (Thalles Silva, 2018), and add what distribution needs: sums over examples, parts without examples, and
replicas that train what one process trains.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrib.nn.optimizers.rules.adam import Adam
from distrib.strategies.strategy import Strategy
from distrib.testing.replicas import run_on_replicas, run_on_workers
from distrib.testing.report import Result
from distrib.testing.subject import Subject
from distrib.training.seeds import counted_apart

_LEARNING_STEPS = 150


def check_shapes(subject: Subject) -> Result:
    """Each example has a row of the outputs, whatever the size of the batch."""
    name = "shapes"
    shapes = {}
    for count in (1, 2, subject.count):
        outputs = subject.outputs(slice(0, count))
        if any(len(each) != count for each in outputs):
            return Result(
                name, False, f"{count} examples have outputs of shapes {[each.shape for each in outputs]}.",
                "The first axis is that of the examples: reduce and reshape the others only.",
            )  # fmt: skip
        shapes[count] = [each.shape[1:] for each in outputs]
    if len(set(map(str, shapes.values()))) > 1:
        return Result(
            name, False, f"The shape of an output changes with the size of the batch: {shapes}.",
            "Does a layer use the size of the batch in a reshape?",
        )  # fmt: skip
    return Result(name, True, f"each example has outputs of shapes {shapes[1]}.")


def check_finite(subject: Subject) -> Result:
    """Outputs, loss and gradient are numbers."""
    gradient, loss, _ = subject.gradient(slice(0, subject.count))
    bad = [
        what
        for what, values in (
            ("outputs", subject.outputs(slice(0, subject.count))),
            ("loss", [loss]),
            ("gradient", [gradient]),
        )
        if not all(np.isfinite(each).all() for each in values)
    ]
    if bad:
        return Result(
            "finite", False, f"NaN or Inf in {', '.join(bad)}.",
            "Look for log or division of 0, and exp of large numbers; pass logits to the loss (from_logits=True).",
        )  # fmt: skip
    return Result("finite", True, "outputs, loss and gradient are finite.")


def check_bounds(subject: Subject, bounds: tuple[float, float]) -> Result:
    """Predictions lie within bounds, and so do outputs in a training."""
    low, high = bounds
    for is_training in (False, True):
        outputs = subject.outputs(slice(0, subject.count), is_training)
        least = min(float(np.min(each)) for each in outputs)
        most = max(float(np.max(each)) for each in outputs)
        if least < low or most > high:
            return Result(
                "bounds", False,
                f"Outputs {'in a training' if is_training else 'of a prediction'} are {least:.4g} to {most:.4g}. "
                f"Expected: {low} to {high}.",
                "Is the last activation the right one? Is there a Dropout behind it?",
            )  # fmt: skip
    return Result("bounds", True, f"outputs are within {low} and {high}.")


def check_loss(subject: Subject) -> Result:
    """The loss of a new model is not exactly 0."""
    _, loss, _ = subject.gradient(slice(0, subject.count))
    if loss == 0:
        return Result(
            "loss is not zero", False, "The loss of a new model is exactly 0.",
            "Are targets and outputs of the same shape? Softmax over one output is always 1.",
        )  # fmt: skip
    return Result("loss is not zero", True, f"the loss of a new model is {loss / subject.count:.4g}.")


def check_gradients(subject: Subject) -> Result:
    """Every variable that is trained has a gradient."""
    gradient, _, _ = subject.gradient(slice(0, subject.count))
    without = [each.name for each in subject.network.buffer.layout if not gradient[each.range.slice].any()]
    if without:
        return Result(
            "every variable has a gradient", False, f"The gradient is 0 for {', '.join(without)}.",
            "Is it used in call? Is a stop_gradient, a rounding or a dead ReLU in between?",
        )  # fmt: skip
    return Result(
        "every variable has a gradient", True, f"{len(subject.network.buffer.layout)} variables have one."
    )


_BESIDE = 1e-3
"""How far from the values of a model its slope is measured."""


def check_slope(subject: Subject) -> Result:
    """The gradient is the slope of the loss, along itself and in a random direction.

    Measured a little beside the values of the model: a bias of exactly 0 may lie in the kink of a ReLU.
    """
    name, rows = "gradient is the slope", slice(0, subject.count)
    values = subject.values
    initial = values.copy()
    precise = values.dtype == np.float64
    rng = np.random.default_rng(0)
    values += _BESIDE * rng.choice([-1.0, 1.0], values.size)
    kept = values.copy()
    gradient, loss, _ = subject.gradient(rows)
    norm = float(np.linalg.norm(gradient))
    if norm == 0 or not np.isfinite(norm):
        values[...] = initial
        return Result(name, False, "There is no gradient to compare.", "See the other checks.")
    worst = 0.0
    for direction in (gradient / norm, rng.choice([-1.0, 1.0], gradient.size) * np.abs(gradient) / norm):
        expected = float(gradient @ direction)
        errors = []
        for step in (1e-5, 1e-6) if precise else (1e-1, 3e-2, 1e-2, 3e-3):
            losses = []
            for sign in (1, -1):
                values[...] = kept + sign * step * direction
                losses.append(subject.gradient(rows)[1])
            values[...] = kept
            slope = (losses[0] - losses[1]) / (2 * step)
            noise = (1e-13 if precise else 3e-6) * (abs(loss) + 1) / step
            errors.append(max(abs(slope - expected) - 4 * noise, 0.0) / norm)
        worst = max(worst, min(errors))
    values[...] = initial
    if worst > (1e-4 if precise else 0.05):
        return Result(
            name, False, f"The gradient differs from the slope of the loss by {worst:.2g} of its norm.",
            "Look at custom_gradient and at backward of your layers and losses. Is something changed in place?",
        )  # fmt: skip
    return Result(name, True, f"it differs by {worst:.1g} of its norm.")


def check_halves(subject: Subject) -> Result:
    """The gradients of two parts of a batch add up to that of the batch."""
    name, half = "two halves are the batch", subject.count // 2 + 1
    whole, loss, _ = subject.gradient(slice(0, subject.count))
    first, loss_1, _ = subject.gradient(slice(0, half))
    second, loss_2, _ = subject.gradient(slice(half, subject.count))
    error = float(np.linalg.norm(first + second - whole)) / max(float(np.linalg.norm(whole)), 1e-30)
    of_loss = abs(loss_1 + loss_2 - loss) / max(abs(loss), 1e-30)
    if max(error, of_loss) > subject.tolerance:
        return Result(
            name, False, f"The sum over two parts differs by {max(error, of_loss):.2g} from that of the batch.",
            "Does a layer or a loss use means over the batch, or the number of examples? Replicas would train other "
            "numbers than one process.",
        )  # fmt: skip
    return Result(name, True, f"they differ by {max(error, of_loss):.1g}.")


def check_empty(subject: Subject) -> Result:
    """A part without examples has a gradient of 0, and no loss."""
    name = "an empty part is zero"
    try:
        gradient, loss, count = subject.gradient(slice(0, 0))
    except Exception as error:  # what a user's layer raises is what is found
        return Result(
            name, False, f"A part without examples raises {type(error).__name__}: {error}",
            "A replica may have no example of a short batch.",
        )  # fmt: skip
    if gradient.any() or loss or count:
        return Result(
            name, False, f"Without examples the loss is {loss:.4g}, and the gradient {np.abs(gradient).max():.2g}.",
            "Sums over no example are 0. Is there a constant in the loss, or a mean of nothing?",
        )  # fmt: skip
    return Result(name, True, "loss and gradient are 0.")


def check_rows(subject: Subject) -> Result:
    """The output for an example does not depend on the others of the batch."""
    name = "examples do not mix"
    together = subject.outputs(slice(0, subject.count))
    error = 0.0
    for index in range(min(subject.count, 4)):
        alone = subject.outputs(slice(index, index + 1))
        for one, all_rows in zip(alone, together, strict=True):
            scale = max(float(np.max(np.abs(all_rows), initial=0)), 1e-6)
            error = max(error, float(np.max(np.abs(one[0] - all_rows[index]), initial=0)) / scale)
    if not error <= subject.tolerance:
        return Result(
            name, False, f"An output changes by {error:.2g} with the other examples of its batch.",
            "Sums, means, norms and softmax go along the axes of an example, not along the first: axis=-1.",
        )  # fmt: skip
    return Result(name, True, f"outputs differ by {error:.1g} when predicted one by one.")


def check_repeats(subject: Subject) -> Result:
    """A prediction can be repeated."""
    rows = slice(0, subject.count)
    first, second = subject.outputs(rows), subject.outputs(rows)
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True)):
        return Result(
            "same output twice", False, "Two predictions of the same examples differ.",
            "Is something drawn, or changed, though training is False?",
        )  # fmt: skip
    return Result("same output twice", True, "two predictions are equal.")


def check_training_repeats(subject: Subject) -> Result:
    """A training can be repeated."""
    name = "same training twice"
    first, second = (run_on_replicas(1, lambda s: _trained(subject, s), "default")[0] for _ in range(2))
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True)):
        return Result(
            name, False, "Two trainings of new models differ.",
            "Does make_model return the same layers again, or draw from numpy.random without a seed?",
        )  # fmt: skip
    return Result(name, True, "two trainings of new models end with the same weights.")


def check_learns(subject: Subject) -> Result:
    """A batch can be learned by heart."""
    name = "learns"
    rows, values = slice(0, subject.count), subject.values
    kept, optimizer = values.copy(), Adam(0.02)
    optimizer.build(values.size, values.dtype)
    losses = []
    for _ in range(_LEARNING_STEPS):
        _, loss, count = subject.gradient(rows)
        losses.append(loss / max(count, 1))
        optimizer.apply_range(values, subject.network.buffer.grads, 1 / max(count, 1))
    values[...] = kept
    first, best = losses[0], min(losses)
    if not first - best > 0.1 * abs(first):
        return Result(
            name, False, f"After {_LEARNING_STEPS} steps on one batch the loss is {best:.4g}, from {first:.4g}.",
            "Do outputs and loss fit together, logits or probabilities? Do the targets belong to their examples?",
        )  # fmt: skip
    return Result(name, True, f"the loss of one batch falls from {first:.3g} to {best:.3g}.")


def check_replicas(subject: Subject, strategy: str) -> Result:
    """Replicas train what one process trains.

    Args:
        subject: the model.
        strategy: `"mirrored:2"`, `"central:2"` or `"ps-sync:2"`: with how many replicas.
    """
    name = f"{strategy} trains the same"
    expected = run_on_replicas(1, lambda s: _trained(subject, s), "default")[0]
    which, _, count = strategy.partition(":")
    try:
        if which == "ps-sync":
            found = run_on_workers(int(count), lambda s: _trained(subject, s), mode="sync")
        else:
            found = run_on_replicas(int(count), lambda s: _trained(subject, s), which)
    except Exception as raised:  # of a replica
        return Result(name, False, f"{type(raised).__name__}: {raised}", "See the error.")
    square = sum(float(np.sum(each.astype(np.float64) ** 2)) for each in expected)
    error = max(
        (
            sum(float(np.sum((a - b.astype(np.float64)) ** 2)) for a, b in zip(one, expected, strict=True))
            / (square or 1)
        )
        ** 0.5
        for one in found
    )
    if not error <= 10 * subject.tolerance:
        return Result(
            name, False, f"The weights differ by {error:.2g} from those that one process trains.",
            "See 'two halves are the batch' and 'same training twice'.",
        )  # fmt: skip
    return Result(name, True, f"the weights differ by {error:.1g}.")


def _trained(subject: Subject, strategy: Strategy) -> list[Any]:
    """The weights of a new model after two epochs, in batches of which the last is short."""
    with counted_apart():
        model = subject.make_model()
        model.fit(subject.x, subject.y, batch_size=max(2, subject.count // 2 - 1), epochs=2, verbose=0)
        return [each.numpy() for each in model.trainable_variables]
