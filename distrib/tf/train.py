"""`distrib.tf.train`: see `distrib.train`."""

from distrib.base.missing import refuser
from distrib.train import *  # noqa: F403
from distrib.train import __all__ as __all__

__getattr__ = refuser(
    __name__,
    {
        **dict.fromkeys(
            ["Example", "Feature", "Features"], "TFRecord files are not read. Convert them once."
        ),
    },
    __all__,
)
