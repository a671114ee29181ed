"""`distrib.tf.config.experimental`: memory of GPUs, of which there are none."""

from __future__ import annotations

from typing import Any

from distrib.base.arguments import checked
from distrib.base.logs import LOGGER
from distrib.tf.config.devices import list_physical_devices

__all__ = ["list_physical_devices", "set_memory_growth"]


@checked
def set_memory_growth(device: Any, enable: bool) -> None:
    """Has no effect."""
    LOGGER.info("tf.config.experimental.set_memory_growth has no effect: there is the CPU only.")
