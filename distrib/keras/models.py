"""`distrib.keras.models`: see `distrib.models`."""

from distrib.base.missing import refuser
from distrib.models import *  # noqa: F403
from distrib.models import __all__ as __all__

__getattr__ = refuser(
    __name__,
    {
        "model_from_yaml": "use model_from_json.",
    },
    __all__,
)
