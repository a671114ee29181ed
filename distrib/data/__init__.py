"""Which examples make up a batch; and `Dataset`, a pipeline of examples with the names of `tf.data`."""

from distrib.data.pipeline.dataset import Dataset
from distrib.data.pipeline.iteration import AUTOTUNE
from distrib.data.pipeline.options import AutoShardPolicy, Options
from distrib.data.pipeline.sources import INFINITE as INFINITE_CARDINALITY
from distrib.data.pipeline.sources import UNKNOWN as UNKNOWN_CARDINALITY
from distrib.data.pipeline.spec import Spec as TensorSpec

__all__ = [
    "AUTOTUNE",
    "INFINITE_CARDINALITY",
    "UNKNOWN_CARDINALITY",
    "AutoShardPolicy",
    "Dataset",
    "Options",
    "TensorSpec",
]
