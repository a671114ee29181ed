"""`distrib.tf.distribute.experimental`: strategies under their older names."""

from __future__ import annotations

from enum import StrEnum

from distrib.base.missing import refuser
from distrib.strategies.central_storage import CentralStorageStrategy
from distrib.strategies.named import MultiWorkerMirroredStrategy
from distrib.strategies.options import CommunicationOptions
from distrib.strategies.parameter_server import ParameterServerStrategy

__all__ = [
    "CentralStorageStrategy",
    "CommunicationImplementation",
    "CommunicationOptions",
    "MultiWorkerMirroredStrategy",
    "ParameterServerStrategy",
]


class CommunicationImplementation(StrEnum):
    """TensorFlow's names of implementations, as values of `CommunicationOptions(implementation=)`."""

    AUTO = "auto"
    RING = "ring"


__getattr__ = refuser(
    __name__,
    {
        "TPUStrategy": "there are CPUs only. Use MirroredStrategy.",
        "coordinator": "parameter servers need none: every worker runs the script, with model.fit or a loop.",
        "partitioners": "parameter servers cut the values evenly, whatever the variables are.",
    },
    __all__,
)
