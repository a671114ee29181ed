"""`distrib.keras.metrics`: see `distrib.metrics`."""

from distrib.base.missing import refuser
from distrib.nn.metrics import *  # noqa: F403
from distrib.nn.metrics import __all__ as __all__

__getattr__ = refuser(
    __name__,
    {
        **dict.fromkeys(
            [
                "BinaryIoU",
                "ConcordanceCorrelation",
                "IoU",
                "MeanIoU",
                "OneHotIoU",
                "OneHotMeanIoU",
                "PearsonCorrelation",
            ],
            "it is not supported. Write a subclass of metrics.Metric.",
        ),
    },
    __all__,
)
