"""`distrib.cluster_resolver`: who this process is, and which others there are, as in `tf.distribute`."""

from distrib.cluster.resolve import resolve
from distrib.cluster.resolvers import (
    ClusterResolver,
    MPIClusterResolver,
    SimpleClusterResolver,
    TFConfigClusterResolver,
)
from distrib.cluster.task import Task

__all__ = [
    "ClusterResolver",
    "MPIClusterResolver",
    "SimpleClusterResolver",
    "TFConfigClusterResolver",
    "Task",
    "resolve",
]


def __dir__() -> list[str]:
    return __all__
