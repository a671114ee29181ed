"""`distrib.tf.data.experimental`: earlier names of what `tf.data` has."""

from collections.abc import Callable
from typing import Any

from distrib.base.missing import refuser
from distrib.data import (
    AUTOTUNE,
    INFINITE_CARDINALITY,
    UNKNOWN_CARDINALITY,
    AutoShardPolicy,
    Dataset,
    Options,
)
from distrib.data.pipeline.dataset import Count


def cardinality(dataset: Dataset) -> Count:
    """How many elements there are; see `Dataset.cardinality`.

    Args:
        dataset: the data set.
    """
    return dataset.cardinality()


def unbatch() -> Callable[[Dataset], Dataset]:
    """For `Dataset.apply`; see `Dataset.unbatch`."""
    return lambda dataset: dataset.unbatch()


def enumerate_dataset(start: int = 0) -> Callable[[Dataset], Dataset]:
    """For `Dataset.apply`; see `Dataset.enumerate`.

    Args:
        start: the first number.
    """
    return lambda dataset: dataset.enumerate(start)


def prefetch_to_device(device: Any, buffer_size: int = AUTOTUNE) -> Callable[[Dataset], Dataset]:
    """For `Dataset.apply`; see `Dataset.prefetch`.

    Args:
        device: not looked at.
        buffer_size: how many elements are computed ahead.
    """
    return lambda dataset: dataset.prefetch(buffer_size)


def map_and_batch(
    map_func: Callable[..., Any],
    batch_size: int,
    num_parallel_calls: int | None = None,
    drop_remainder: bool = False,
) -> Callable[[Dataset], Dataset]:
    """For `Dataset.apply`; see `Dataset.map` and `Dataset.batch`.

    Args:
        map_func: see `Dataset.map`.
        batch_size: see `Dataset.batch`.
        num_parallel_calls: see `Dataset.map`.
        drop_remainder: see `Dataset.batch`.
    """
    return lambda dataset: dataset.map(map_func, num_parallel_calls).batch(batch_size, drop_remainder)


__all__ = [
    "AUTOTUNE",
    "INFINITE_CARDINALITY",
    "UNKNOWN_CARDINALITY",
    "AutoShardPolicy",
    "Options",
    "cardinality",
    "enumerate_dataset",
    "map_and_batch",
    "prefetch_to_device",
    "unbatch",
]

__getattr__ = refuser(
    __name__,
    {
        "CsvDataset": "read the file with pandas.read_csv, and use from_tensor_slices.",
        "make_csv_dataset": "read the file with pandas.read_csv, and use from_tensor_slices.",
        "SqlDataset": "read the rows in from_generator.",
        "parallel_interleave": "use Dataset.interleave.",
    },
    __all__,
)
