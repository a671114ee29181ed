"""distrib: data-parallel training on many processes, over one NumPy core.

Names and behaviour follow tf.distribute and Keras wherever those have a name.
"""

import importlib as _importlib

from distrib.base.exit_codes import install as _install_exit_codes
from distrib.host.blas_kernels import choose_kernels as _choose_kernels

_choose_kernels()  # before anything imports NumPy
_install_exit_codes()  # before anything can fail

from distrib import callbacks, cluster_resolver, datasets, models, train, utils
from distrib.autodiff.custom import custom_gradient, stop_gradient
from distrib.autodiff.tape import GradientTape
from distrib.base.errors import (
    AuthenticationError,
    ConfigError,
    DataError,
    DistribError,
    NonFiniteError,
    PeerLostError,
    ProtocolError,
    ShapeError,
    StorageError,
)
from distrib.cluster.spec import ClusterSpec
from distrib.comm.reduce_op import ReduceOp
from distrib.launch.local_cluster import local_cluster
from distrib.nn import (
    activations,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
)
from distrib.nn.layers import Input
from distrib.nn.variable import Variable, constant
from distrib.ps.policy.admission.staleness import BoundStale, DropStale, ScaleStale, StalenessPolicy
from distrib.strategies import own_updates as _own_updates  # noqa: F401  (sets AppliesGradients.apply_in_strategy)
from distrib.strategies.central_storage import CentralStorageStrategy
from distrib.strategies.default import DefaultStrategy, get_strategy, has_strategy
from distrib.strategies.from_cluster import strategy_from_cluster
from distrib.strategies.mirrored import MirroredStrategy
from distrib.strategies.named import MultiWorkerMirroredStrategy, OneDeviceStrategy
from distrib.strategies.options import CommunicationOptions
from distrib.strategies.parameter_server import ParameterServerStrategy
from distrib.strategies.replica_context import ReplicaContext, get_replica_context
from distrib.strategies.strategy import Strategy
from distrib.training.evaluator.sidecar_evaluator import SidecarEvaluator
from distrib.training.load_model import load_model
from distrib.training.model import Model
from distrib.training.seeds import reset, set_random_seed
from distrib.training.sequential import Sequential
from distrib.training.train_and_evaluate import train_and_evaluate
from distrib.version import __version__

__all__ = [
    "AuthenticationError",
    "BoundStale",
    "CentralStorageStrategy",
    "ClusterSpec",
    "CommunicationOptions",
    "ConfigError",
    "DataError",
    "DefaultStrategy",
    "DistribError",
    "DropStale",
    "GradientTape",
    "Input",
    "MirroredStrategy",
    "Model",
    "MultiWorkerMirroredStrategy",
    "NonFiniteError",
    "OneDeviceStrategy",
    "ParameterServerStrategy",
    "PeerLostError",
    "ProtocolError",
    "ReduceOp",
    "ReplicaContext",
    "ScaleStale",
    "Sequential",
    "ShapeError",
    "SidecarEvaluator",
    "StalenessPolicy",
    "StorageError",
    "Strategy",
    "Variable",
    "__version__",
    "activations",
    "callbacks",
    "cluster_resolver",
    "constant",
    "constraints",
    "custom_gradient",
    "datasets",
    "get_replica_context",
    "get_strategy",
    "has_strategy",
    "initializers",
    "layers",
    "load_model",
    "local_cluster",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "reset",
    "set_random_seed",
    "stop_gradient",
    "strategy_from_cluster",
    "train",
    "train_and_evaluate",
    "utils",
]


def __getattr__(name: str) -> object:
    """The name spaces that most programs do not need: `distrib.keras`, `distrib.tf`, `distrib.testing`."""
    if name in ("keras", "testing", "tf"):
        return _importlib.import_module(f"distrib.{name}")
    raise AttributeError(f"module 'distrib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
