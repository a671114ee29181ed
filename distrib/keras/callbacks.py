"""`distrib.keras.callbacks`: see `distrib.callbacks`."""

from distrib.base.missing import refuser
from distrib.callbacks import *  # noqa: F403
from distrib.callbacks import __all__ as __all__

__getattr__ = refuser(
    __name__,
    {
        "RemoteMonitor": "use TensorBoard or CSVLogger.",
        "SwapEMAWeights": "moving averages of weights are not supported yet.",
        "ProgbarLogger": "use ProgressBar, or verbose=1.",
    },
    __all__,
)
