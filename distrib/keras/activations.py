"""`distrib.keras.activations`: see `distrib.activations`."""

from distrib.base.missing import refuser
from distrib.nn.activations import *  # noqa: F403
from distrib.nn.activations import __all__ as __all__

__getattr__ = refuser(
    __name__,
    {
        "glu": "it is not supported. Use two Dense layers and layers.multiply, one of them with sigmoid.",
    },
    __all__,
)
