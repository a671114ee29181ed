"""`distrib.keras.losses`: see `distrib.losses`."""

from distrib.base.missing import refuser
from distrib.nn.losses import *  # noqa: F403
from distrib.nn.losses import __all__ as __all__

__getattr__ = refuser(
    __name__,
    {
        **dict.fromkeys(
            ["CTC", "Circle", "Dice", "Tversky"], "it is not supported. Write a subclass of losses.Loss."
        ),
        "CategoricalGeneralizedCrossEntropy": "it is not supported. Write a subclass of losses.Loss.",
    },
    __all__,
)
