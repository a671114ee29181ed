"""Record what Keras computes, for tests/nn/test_against_keras.py.

    KERAS_BACKEND=torch python scripts/record_keras_reference.py

needs keras and torch, which the tests themselves do not: they read the file this writes.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch

TARGET = Path(__file__).parent.parent / "tests" / "nn" / "keras_reference.json"
WEIGHT = [0.5, 2.0, 0.0, 1.0, 1.5, 0.25]


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(values), dtype=torch.float64, requires_grad=True)


def numbers(values: torch.Tensor | None) -> Any:
    assert values is not None
    return values.detach().cpu().numpy().astype(np.float64).tolist()


def activations(rng: np.random.Generator) -> list[dict[str, Any]]:
    x = np.concatenate([rng.normal(0, 2, (4, 5)), [[-30.0, -1e-3, 1e-3, 30.0, 5.0]]])
    d_y = rng.normal(size=x.shape)
    variants: list[tuple[str, dict[str, Any]]] = [
        ("linear", {}),
        ("relu", {}),
        ("leaky_relu", {}),
        ("leaky_relu", {"negative_slope": 0.05}),
        ("elu", {}),
        ("elu", {"alpha": 0.7}),
        ("gelu", {}),
        ("gelu", {"approximate": True}),
        ("tanh", {}),
        ("sigmoid", {}),
        ("softmax", {}),
    ]
    cases = []
    for name, arguments in variants:
        z = tensor(x)
        y = getattr(keras.activations, name)(z, **arguments)
        (y * torch.tensor(d_y)).sum().backward()
        cases.append(
            {
                "name": name,
                "arguments": arguments,
                "x": x.tolist(),
                "d_y": d_y.tolist(),
                "y": numbers(y),
                "d_x": numbers(z.grad),
            }
        )
    return cases


def losses(rng: np.random.Generator) -> list[dict[str, Any]]:
    logits = rng.normal(0, 2, (6, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    unnormalised = rng.uniform(0.1, 2.0, (6, 4))
    extreme = probabilities.copy()
    extreme[0], extreme[1] = [1.0, 0.0, 0.0, 0.0], [1.0 - 1e-9, 1e-9, 0.0, 0.0]
    labels = rng.integers(0, 4, 6)
    one_hot = np.eye(4)[labels]
    soft = rng.dirichlet(np.ones(4), 6)
    bits = rng.integers(0, 2, (6, 4)).astype(np.float64)
    sigmoids = 1 / (1 + np.exp(-logits))
    real = rng.normal(size=(6, 4))
    sequences = rng.normal(size=(6, 3, 4))
    sequence_labels = rng.integers(0, 4, (6, 3))
    sparse, dense, binary = (
        "SparseCategoricalCrossentropy",
        "CategoricalCrossentropy",
        "BinaryCrossentropy",
    )
    variants: list[tuple[str, dict[str, Any], Any, Any]] = [
        (sparse, {}, labels, probabilities),
        (sparse, {}, labels, unnormalised),
        (sparse, {}, labels, extreme),
        (sparse, {"from_logits": True}, labels, logits),
        (sparse, {"from_logits": True}, sequence_labels, sequences),
        (dense, {}, one_hot, probabilities),
        (dense, {}, soft, unnormalised),
        (dense, {"label_smoothing": 0.2}, one_hot, probabilities),
        (dense, {"from_logits": True}, soft, logits),
        (dense, {"from_logits": True, "label_smoothing": 0.2}, one_hot, logits),
        (binary, {}, bits, sigmoids),
        (binary, {"label_smoothing": 0.1}, bits, sigmoids),
        (binary, {"from_logits": True}, bits, logits),
        (binary, {"from_logits": True, "label_smoothing": 0.1}, bits, logits),
        ("MeanSquaredError", {}, bits, real),
        ("MeanSquaredError", {}, sequences * 0.5, sequences),
        ("MeanAbsoluteError", {}, bits, real),
        ("MeanAbsolutePercentageError", {}, real + 0.3, real),
        ("MeanAbsolutePercentageError", {}, bits, real),
        ("MeanSquaredLogarithmicError", {}, unnormalised, np.abs(real)),
        ("MeanSquaredLogarithmicError", {}, bits, real),
        ("Huber", {}, bits, 2 * real),
        ("Huber", {"delta": 0.3}, sequences * 0.5, sequences),
        ("LogCosh", {}, bits, real),
        ("LogCosh", {}, bits, 40 * real),
        ("CosineSimilarity", {}, unnormalised, real),
        ("CosineSimilarity", {}, sequences * 0.5 + 0.1, sequences),
        ("Hinge", {}, bits, real),
        ("Hinge", {}, 2 * bits - 1, real),
        ("SquaredHinge", {}, bits, real),
        ("CategoricalHinge", {}, one_hot, real),
        ("CategoricalHinge", {}, np.eye(4)[sequence_labels], sequences),
        ("KLDivergence", {}, soft, probabilities),
        ("KLDivergence", {}, one_hot, extreme),
        ("Poisson", {}, bits, unnormalised),
    ]
    cases = []
    for name, arguments, y_true, y_pred in variants:
        targets = np.asarray(y_true)
        if targets.dtype.kind == "f":
            targets = torch.tensor(targets)

        def compute(
            weight: torch.Tensor | None,
            name: str = name,
            arguments: dict[str, Any] = arguments,
            targets: Any = targets,
            y_pred: Any = y_pred,
        ) -> tuple[float, Any]:
            prediction = tensor(y_pred)
            value = getattr(keras.losses, name)(**arguments, dtype="float64")(
                targets, prediction, sample_weight=weight
            )
            value.backward()
            return float(value.detach()), numbers(prediction.grad)

        # one weight an example: losses of sequences have a value a step, to which Keras must broadcast it
        shape = (-1, *[1] * (np.ndim(y_pred) - 2))
        weight = torch.tensor(WEIGHT, dtype=torch.float64).reshape(shape)
        value, gradient = compute(None)
        weighted, weighted_gradient = compute(weight)
        cases.append(
            {
                "name": name,
                "arguments": arguments,
                "y_true": np.asarray(y_true).tolist(),
                "y_pred": np.asarray(y_pred).tolist(),
                "weight": WEIGHT,
                "value": value,
                "gradient": gradient,
                "weighted_value": weighted,
                "weighted_gradient": weighted_gradient,
            }
        )
    return cases


def metrics(rng: np.random.Generator) -> list[dict[str, Any]]:
    scores, labels = rng.uniform(size=(6, 5)), rng.integers(0, 5, 6)
    one_hot = np.eye(5)[labels]
    variants: list[tuple[str, dict[str, Any], Any, Any]] = [
        ("Accuracy", {}, [[1], [2], [3], [4], [5], [6]], [[1], [2], [0], [4], [0], [6]]),
        ("BinaryAccuracy", {}, (scores[:, :1] > 0.4).astype(float), scores[:, 1:2]),
        ("BinaryAccuracy", {"threshold": 0.3}, (scores > 0.5).astype(float), scores),
        ("SparseCategoricalAccuracy", {}, labels, scores),
        ("CategoricalAccuracy", {}, one_hot, scores),
        ("SparseTopKCategoricalAccuracy", {"k": 2}, labels, scores),
        ("SparseTopKCategoricalAccuracy", {"k": 4}, labels, scores),
        ("TopKCategoricalAccuracy", {"k": 3}, one_hot, scores),
    ]
    cases = []
    for name, arguments, y_true, y_pred in variants:
        results = []
        for weight in (None, np.array(WEIGHT)):
            metric = getattr(keras.metrics, name)(**arguments)
            for part in (slice(0, 4), slice(4, 6)):
                own = None if weight is None else weight[part]
                metric.update_state(np.asarray(y_true)[part], np.asarray(y_pred)[part], sample_weight=own)
            results.append(float(metric.result()))
        cases.append(
            {
                "name": name,
                "arguments": arguments,
                "y_true": np.asarray(y_true).tolist(),
                "y_pred": np.asarray(y_pred).tolist(),
                "weight": WEIGHT,
                "result": results[0],
                "weighted_result": results[1],
            }
        )
    return cases


def optimizers(rng: np.random.Generator) -> list[dict[str, Any]]:
    start, grads = rng.normal(size=7), rng.normal(size=(5, 7))
    grads[2, :3] = 0.0
    variants: list[tuple[str, dict[str, Any]]] = [
        ("SGD", {}),
        ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
        ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
        ("SGD", {"learning_rate": 0.1, "momentum": 0.5, "weight_decay": 0.1}),
        ("Adam", {}),
        ("Adam", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
        ("Adam", {"learning_rate": 0.05, "amsgrad": True, "weight_decay": 0.02}),
        ("AdamW", {}),
        ("AdamW", {"learning_rate": 0.05, "weight_decay": 0.3, "amsgrad": True}),
        ("RMSprop", {}),
        ("RMSprop", {"learning_rate": 0.05, "rho": 0.7, "momentum": 0.8}),
        ("RMSprop", {"learning_rate": 0.05, "centered": True, "epsilon": 1e-3}),
        ("RMSprop", {"learning_rate": 0.05, "centered": True, "momentum": 0.8, "epsilon": 1e-3}),
        ("Nadam", {}),
        ("Nadam", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
        ("Adamax", {}),
        ("Adamax", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
        ("Adagrad", {}),
        ("Adagrad", {"learning_rate": 0.5, "initial_accumulator_value": 0.0, "epsilon": 1e-3}),
        ("Adadelta", {}),
        ("Adadelta", {"learning_rate": 1.0, "rho": 0.7, "epsilon": 1e-3}),
        ("Ftrl", {}),
        (
            "Ftrl",
            {"learning_rate": 0.5, "l1_regularization_strength": 0.1, "l2_regularization_strength": 0.2},
        ),
        ("Ftrl", {"learning_rate": 0.5, "l2_shrinkage_regularization_strength": 0.1, "beta": 0.3}),
        ("Ftrl", {"learning_rate": 0.5, "learning_rate_power": -0.7}),
        ("Lion", {}),
        ("Lion", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.95, "weight_decay": 0.1}),
    ]
    cases = []
    for name, arguments in variants:
        optimizer = getattr(keras.optimizers, name)(**arguments)
        variable = keras.Variable(start, dtype="float64")
        optimizer.build([variable])
        steps = []
        for grad in grads:
            optimizer.apply([keras.ops.convert_to_tensor(grad, dtype="float64")])
            steps.append(numbers(variable.value))
        cases.append(
            {
                "name": name,
                "arguments": arguments,
                "start": start.tolist(),
                "grads": grads.tolist(),
                "values": steps,
            }
        )
    return cases


def schedules(rng: np.random.Generator) -> list[dict[str, Any]]:
    rate = {"initial_learning_rate": 0.1}
    warm = {"initial_learning_rate": 0.01, "warmup_target": 0.2, "warmup_steps": 5}
    variants: list[tuple[str, dict[str, Any]]] = [
        ("ExponentialDecay", {**rate, "decay_steps": 7, "decay_rate": 0.9}),
        ("ExponentialDecay", {**rate, "decay_steps": 7, "decay_rate": 0.9, "staircase": True}),
        ("InverseTimeDecay", {**rate, "decay_steps": 7, "decay_rate": 0.5}),
        ("InverseTimeDecay", {**rate, "decay_steps": 7, "decay_rate": 0.5, "staircase": True}),
        ("PolynomialDecay", {**rate, "decay_steps": 8}),
        ("PolynomialDecay", {**rate, "decay_steps": 8, "end_learning_rate": 0.01, "power": 0.5}),
        ("PolynomialDecay", {**rate, "decay_steps": 8, "power": 2.0, "cycle": True}),
        ("PiecewiseConstantDecay", {"boundaries": [3, 8], "values": [1.0, 0.5, 0.1]}),
        ("CosineDecay", {**rate, "decay_steps": 10}),
        ("CosineDecay", {**rate, "decay_steps": 10, "alpha": 0.1}),
        ("CosineDecay", {**warm, "decay_steps": 10, "alpha": 0.1}),
        ("CosineDecayRestarts", {**rate, "first_decay_steps": 5}),
        ("CosineDecayRestarts", {**rate, "first_decay_steps": 5, "t_mul": 1.0, "m_mul": 0.8}),
        ("CosineDecayRestarts", {**rate, "first_decay_steps": 5, "t_mul": 1.5, "m_mul": 0.8, "alpha": 0.1}),
    ]
    return [
        {
            "name": name,
            "arguments": arguments,
            "rates": [
                float(getattr(keras.optimizers.schedules, name)(**arguments)(step)) for step in range(40)
            ],
        }
        for name, arguments in variants
    ]


def main() -> None:
    keras.config.set_floatx("float64")
    kinds = {
        "activations": activations,
        "losses": losses,
        "metrics": metrics,
        "optimizers": optimizers,
        "schedules": schedules,
    }
    reference: dict[str, Any] = {"keras": keras.__version__, "torch": torch.__version__}
    for index, (kind, record) in enumerate(kinds.items()):
        reference[kind] = record(np.random.default_rng(index))
    # one line a case keeps the file small and its differences readable
    lines = [
        f"{json.dumps(kind)}: {json.dumps(value)}"
        if isinstance(value, str)
        else f"{json.dumps(kind)}: [\n" + ",\n".join(json.dumps(case) for case in value) + "\n]"
        for kind, value in reference.items()
    ]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
