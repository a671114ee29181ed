"""`distrib.tf.distribute`: the strategies, where scripts for TensorFlow look for them."""

from distrib.base.missing import refuser
from distrib.comm.reduce_op import ReduceOp
from distrib.data.pipeline.options import InputOptions
from distrib.data.streams.distributed import DistributedDataset, InputContext
from distrib.strategies.central_storage import CentralStorageStrategy
from distrib.strategies.default import get_strategy, has_strategy
from distrib.strategies.mirrored import MirroredStrategy
from distrib.strategies.named import (
    CrossDeviceOps,
    HierarchicalCopyAllReduce,
    MultiWorkerMirroredStrategy,
    NcclAllReduce,
    OneDeviceStrategy,
    ReductionToOneDevice,
)
from distrib.strategies.parameter_server import ParameterServerStrategy
from distrib.strategies.replica_context import ReplicaContext, get_replica_context
from distrib.strategies.strategy import Strategy
from distrib.tf.distribute import cluster_resolver, experimental

__all__ = [
    "CentralStorageStrategy",
    "CrossDeviceOps",
    "DistributedDataset",
    "HierarchicalCopyAllReduce",
    "InputContext",
    "InputOptions",
    "MirroredStrategy",
    "MultiWorkerMirroredStrategy",
    "NcclAllReduce",
    "OneDeviceStrategy",
    "ParameterServerStrategy",
    "ReduceOp",
    "ReductionToOneDevice",
    "ReplicaContext",
    "Strategy",
    "cluster_resolver",
    "experimental",
    "get_replica_context",
    "get_strategy",
    "has_strategy",
]

__getattr__ = refuser(
    __name__,
    {
        "TPUStrategy": "there are CPUs only. Use MirroredStrategy.",
        "Server": "the launcher starts parameter servers: python -m distrib launch, with a cluster file.",
        "coordinator": "parameter servers need none: every worker runs the script, with model.fit or a loop.",
    },
    __all__,
)
