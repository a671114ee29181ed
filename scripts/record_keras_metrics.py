"""Record what Keras computes in losses and metrics, to compare with: run it with Keras' Python.

KERAS_BACKEND=torch python scripts/record_keras_metrics.py > tests/nn/keras_metrics.json
"""

import inspect
import json
import sys

import keras
import numpy as np

# Class, arguments, which data it is measured on.
METRICS = [
    ("Accuracy", {}, "labels"),
    ("BinaryAccuracy", {"threshold": 0.4}, "binary"),
    ("CategoricalAccuracy", {}, "one hot"),
    ("SparseCategoricalAccuracy", {}, "sparse"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one hot"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "sparse"),
    ("BinaryCrossentropy", {}, "binary"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "binary"),
    ("CategoricalCrossentropy", {}, "one hot"),
    ("SparseCategoricalCrossentropy", {}, "sparse"),
    ("CategoricalHinge", {}, "one hot"),
    ("Hinge", {}, "binary"),
    ("SquaredHinge", {}, "binary"),
    ("KLDivergence", {}, "one hot"),
    ("Poisson", {}, "values"),
    ("LogCoshError", {}, "values"),
    ("MeanSquaredError", {}, "values"),
    ("MeanAbsoluteError", {}, "values"),
    ("MeanAbsolutePercentageError", {}, "values"),
    ("MeanSquaredLogarithmicError", {}, "values"),
    ("RootMeanSquaredError", {}, "values"),
    ("CosineSimilarity", {}, "values"),
    ("R2Score", {}, "values"),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 1}, "values"),
    ("R2Score", {"class_aggregation": None}, "values"),
    ("F1Score", {}, "one hot"),
    ("F1Score", {"average": "micro"}, "one hot"),
    ("F1Score", {"average": "macro", "threshold": 0.3}, "one hot"),
    ("FBetaScore", {"average": "weighted", "beta": 2.0}, "one hot"),
    ("TruePositives", {}, "binary"),
    ("FalsePositives", {"thresholds": [0.7, 0.2]}, "binary"),
    ("TrueNegatives", {"thresholds": 0.3}, "binary"),
    ("FalseNegatives", {}, "binary"),
    ("Precision", {}, "binary"),
    ("Precision", {"thresholds": [0.2, 0.6]}, "binary"),
    ("Precision", {"top_k": 2}, "one hot"),
    ("Precision", {"class_id": 1}, "one hot"),
    ("Recall", {}, "binary"),
    ("Recall", {"top_k": 2, "class_id": 0}, "one hot"),
    ("AUC", {}, "binary"),
    ("AUC", {"curve": "PR"}, "binary"),
    ("AUC", {"curve": "PR", "summation_method": "minoring", "num_thresholds": 30}, "binary"),
    ("AUC", {"summation_method": "majoring", "num_thresholds": 20}, "binary"),
    ("AUC", {"thresholds": [0.2, 0.5, 0.8]}, "binary"),
    ("AUC", {"from_logits": True}, "values"),
    ("SensitivityAtSpecificity", {"specificity": 0.5}, "binary"),
    ("SpecificityAtSensitivity", {"sensitivity": 0.6}, "binary"),
    ("PrecisionAtRecall", {"recall": 0.5}, "binary"),
    ("RecallAtPrecision", {"precision": 0.6}, "binary"),
]

LOSSES = [
    ("BinaryFocalCrossentropy", {}, "binary"),
    (
        "BinaryFocalCrossentropy",
        {"apply_class_balancing": True, "gamma": 1.5, "label_smoothing": 0.1},
        "binary",
    ),
    ("BinaryFocalCrossentropy", {"from_logits": True}, "binary"),
    ("CategoricalFocalCrossentropy", {}, "one hot"),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, "one hot"),
    ("MeanSquaredError", {"reduction": "sum"}, "values"),
    ("MeanSquaredError", {"reduction": "none"}, "values"),
    ("MeanAbsoluteError", {"reduction": "mean_with_sample_weight"}, "values"),
    ("CosineSimilarity", {}, "values"),
    ("CategoricalHinge", {}, "one hot"),
    ("KLDivergence", {}, "one hot"),
    ("Huber", {"delta": 0.5}, "values"),
]


def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions of 24 examples, which need no generator to be made again."""
    wave = 0.5 + 0.49 * np.sin(np.arange(72) * 1.7 + 0.3)
    labels = (np.arange(24) * 7) % 3
    if name == "binary":
        return (np.arange(24) % 3 == 0).astype(np.float32)[:, None], wave[:24, None].astype(np.float32)
    if name == "values":
        return ((np.cos(np.arange(48)) > 0) * 1.0).reshape(24, 2).astype(np.float32), wave[:48].reshape(
            24, 2
        ).astype(np.float32)
    rows = wave.reshape(24, 3)
    rows = (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)
    if name == "labels":
        return labels.astype(np.float32), ((np.arange(24) * 5) % 3).astype(np.float32)
    return (np.eye(3, dtype=np.float32)[labels], rows) if name == "one hot" else (labels, rows)


def weights() -> np.ndarray:
    """Sample weights of the 24 examples."""
    return (0.5 + (np.arange(24) % 4)).astype(np.float32)


def main() -> None:
    """Print the records as JSON."""
    found: dict = {"keras": keras.__version__, "metrics": [], "losses": [], "signatures": {}}
    for name, arguments, kind in METRICS:
        y_true, y_pred = data(kind)
        results = []
        for weight in (None, weights()):
            metric = getattr(keras.metrics, name)(**arguments)
            for rows in (slice(0, 10), slice(10, 24)):
                chosen = None if weight is None else weight[rows]
                metric.update_state(y_true[rows], y_pred[rows], sample_weight=chosen)
            results.append(np.asarray(metric.result().detach().cpu()).tolist())
        found["metrics"].append({"class": name, "arguments": arguments, "data": kind, "results": results})
        found["signatures"].setdefault(name, signature(getattr(keras.metrics, name)))
    for name, arguments, kind in LOSSES:
        y_true, y_pred = data(kind)
        loss = getattr(keras.losses, name)(**arguments)
        results = [np.asarray(loss(y_true, y_pred, w).detach().cpu()).tolist() for w in (None, weights())]
        found["losses"].append({"class": name, "arguments": arguments, "data": kind, "results": results})
    for name in sorted(dir(keras.losses)):
        if inspect.isclass(getattr(keras.losses, name)):
            found["signatures"][f"losses.{name}"] = signature(getattr(keras.losses, name))
    json.dump(found, sys.stdout, separators=(",", ":"))


def signature(cls: type) -> dict[str, str | None]:
    """The arguments of a constructor and their defaults."""
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    return {each.name: None if each.default is each.empty else repr(each.default) for each in parameters}


if __name__ == "__main__":
    main()
