"""`distrib.keras.optimizers`: see `distrib.optimizers`."""

from distrib.base.missing import refuser
from distrib.nn.optimizers import *  # noqa: F403
from distrib.nn.optimizers import __all__ as __all__

__getattr__ = refuser(
    __name__,
    {
        "Muon": "it is not supported yet. AdamW is the nearest.",
        "LossScaleOptimizer": "models compute in float32 or float64, and need no scaling.",
        "legacy": "there are the current optimizers only. Drop legacy from the name.",
    },
    __all__,
)
