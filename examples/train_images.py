"""Train a small image classifier on one process or many.

    python examples/train_images.py
    mpirun -n 2 python examples/train_images.py --dataset fashion-mnist --epochs 5

The program is that of the README, with flags.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import distrib
import numpy as np

STRATEGIES: dict[str, Callable[[], distrib.Strategy]] = {
    "auto": distrib.strategy_from_cluster,
    "mirrored": distrib.MirroredStrategy,
    "central": distrib.CentralStorageStrategy,
    "default": distrib.DefaultStrategy,
}


def main() -> None:
    """Load, and train under the strategy of the flags."""
    options = parse_arguments()
    distrib.set_random_seed(options.seed)
    load = distrib.datasets.digits if options.dataset == "digits" else distrib.datasets.fashion_mnist
    (x_train, y_train), (x_test, y_test) = load()
    brightest = float(x_train.max())
    x_train, x_test = x_train / brightest, x_test / brightest

    if options.strategy.startswith("ps-"):
        with distrib.local_cluster(options.num_workers, options.num_ps):
            train(parameter_server(options), options, (x_train, y_train), (x_test, y_test))
    else:
        train(STRATEGIES[options.strategy](), options, (x_train, y_train), (x_test, y_test))


def parameter_server(options: argparse.Namespace) -> distrib.ParameterServerStrategy:
    """The strategy that the flags describe."""
    policies: dict[str, Callable[[], distrib.StalenessPolicy | None]] = {
        "none": lambda: None,
        "drop": lambda: distrib.DropStale(options.max_staleness),
        "scale": lambda: distrib.ScaleStale("inverse"),
        "zhang": lambda: distrib.ScaleStale("zhang"),
        "bound": lambda: distrib.BoundStale(options.max_staleness),
    }
    return distrib.ParameterServerStrategy(
        mode=options.strategy.removeprefix("ps-"),
        num_backup_workers=options.num_backup_workers,
        staleness=policies[options.staleness_policy](),
        warmup_steps=options.warmup_steps,
        learning_rate_factor=options.learning_rate_factor,
        prefetch=options.prefetch,
    )


Arrays = tuple[np.ndarray, np.ndarray]


def train(strategy: distrib.Strategy, options: argparse.Namespace, training: Arrays, testing: Arrays) -> None:
    """Build, train, test, report."""
    (x_train, y_train), (x_test, y_test) = training, testing
    optimizer = {"adam": distrib.optimizers.Adam, "sgd": distrib.optimizers.SGD}[options.optimizer]
    rate = {} if options.learning_rate is None else {"learning_rate": options.learning_rate}
    with strategy.scope():
        model = distrib.Sequential(
            [
                distrib.layers.Flatten(input_shape=x_train.shape[1:]),
                distrib.layers.Dense(options.hidden, activation="relu"),
                distrib.layers.Dense(10, activation="softmax"),
            ],
            dtype=options.dtype,
        )
        model.compile(
            optimizer=optimizer(**rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"]
        )

    speed = Throughput(len(x_train))
    callbacks: list[distrib.callbacks.Callback] = [speed]
    if options.tensorboard:
        callbacks.append(distrib.callbacks.TensorBoard(options.tensorboard, histogram_freq=1))
    if options.checkpoint_dir:
        folder = options.checkpoint_dir
        callbacks += [
            distrib.callbacks.ModelCheckpoint(folder / "ckpt-{epoch}"),
            distrib.callbacks.BackupAndRestore(folder / "backup"),
        ]
    history = model.fit(
        x_train,
        y_train,
        epochs=options.epochs,
        batch_size=options.batch_size,
        validation_data=(x_test, y_test) if options.tensorboard or options.checkpoint_dir else None,
        callbacks=callbacks,
    )
    test_loss, test_accuracy = model.evaluate(x_test, y_test, batch_size=1000, verbose=0)

    result = {
        "num_replicas": strategy.num_replicas_in_sync,
        "epochs": options.epochs,
        "train_loss": history.history["loss"],
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
        "samples_per_second": speed.samples_per_second,
        "weights_sha256": weights_of_all_ranks(strategy, model),
    }
    if isinstance(strategy, distrib.ParameterServerStrategy):
        names = (
            "pushed",
            "applied",
            "dropped",
            "scaled",
            "staleness_mean",
            "staleness_histogram",
            "effective_batch",
            "bytes_sent",
        )
        result |= {name: strategy.counters[name] for name in names}
    if strategy.is_chief:
        print(f"test accuracy {test_accuracy:.4f}")
        if options.output:
            write_run(options.output, result, history)
        if options.json:
            write_json(options.json, result)


class Throughput(distrib.callbacks.Callback):
    """Training examples a second of the whole job, for each epoch."""

    def __init__(self, num_examples: int) -> None:
        super().__init__()
        self.samples_per_second: list[float] = []
        self._num_examples = num_examples
        self._begin, self._end = 0.0, 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._begin, self._end = time.perf_counter(), 0.0

    def on_test_begin(self, logs: Any = None) -> None:
        self._end = time.perf_counter()  # validation does not count

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        end = self._end or time.perf_counter()
        self.samples_per_second.append(self._num_examples / (end - self._begin))


def weights_of_all_ranks(strategy: distrib.Strategy, model: distrib.Sequential) -> list[str]:
    """A hash of the weights for each rank: equal, if the replicas are."""
    digest = hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).digest()
    if isinstance(strategy, distrib.ParameterServerStrategy):
        return [digest.hex()]  # workers do not meet; each has pulled the same values
    rows = strategy.gather([list(digest)])
    return [bytes(row.tolist()).hex() for row in rows]


def write_run(folder: Path, result: dict[str, Any], history: distrib.callbacks.History) -> None:
    """The run's files: `result.json` and `history.csv`, one line an epoch."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "result.json", result)
    names = list(history.history)
    rows = zip(history.epoch, *(history.history[name] for name in names), strict=True)
    lines = [",".join(["epoch", *names]), *(",".join(map(str, row)) for row in rows)]
    (folder / "history.csv").write_text("\n".join(lines) + "\n")
    print(f"files of this run: {folder.resolve()}")


def write_json(path: Path, result: dict[str, Any]) -> None:
    """The results as JSON."""
    path.write_text(json.dumps(result, indent=2) + "\n")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=["digits", "fashion-mnist"], default="digits")
    strategies = [*STRATEGIES, "ps-sync", "ps-async"]
    parser.add_argument("--strategy", choices=strategies, default="auto", help="auto: what fits the cluster")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=100, help="examples of a step over all replicas")
    parser.add_argument("--hidden", type=int, default=100, help="units of the hidden layer")
    parser.add_argument("--optimizer", choices=["adam", "sgd"], default="adam")
    parser.add_argument("--learning-rate", type=float, help="the optimizer's default if not given")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the files of this run")
    parser.add_argument("--tensorboard", type=Path, metavar="DIR", help="write the run there for TensorBoard")
    parser.add_argument(
        "--checkpoint-dir",
        type=Path,
        metavar="DIR",
        help="save there after every epoch, and go on from there",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    servers = parser.add_argument_group("parameter servers (--strategy ps-sync or ps-async)")
    servers.add_argument("--num-workers", type=int, default=2, help="the chief among them")
    servers.add_argument("--num-ps", type=int, default=1)
    servers.add_argument(
        "--num-backup-workers", type=int, default=0, help="sync: an update does not wait for so many"
    )
    policies = ["none", "drop", "scale", "zhang", "bound"]
    servers.add_argument("--staleness-policy", choices=policies, default="none", help="async")
    servers.add_argument("--max-staleness", type=int, default=0, help="of drop and bound")
    servers.add_argument("--warmup-steps", type=int, default=0, help="updates by the chief alone at first")
    servers.add_argument("--learning-rate-factor", type=float, default=1.0, help="async")
    servers.add_argument("--prefetch", action="store_true", help="async: push while the next is computed")
    return parser.parse_args()


if __name__ == "__main__":
    main()
