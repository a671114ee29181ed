"""`distrib.tf.config`: devices. There are CPUs only, and the launcher gives each process its cores."""

from __future__ import annotations

from typing import Any

from distrib.base.arguments import checked
from distrib.base.logs import LOGGER
from distrib.tf.config import experimental, threading
from distrib.tf.config.devices import list_logical_devices, list_physical_devices

__all__ = [
    "experimental",
    "get_visible_devices",
    "list_logical_devices",
    "list_physical_devices",
    "run_functions_eagerly",
    "set_logical_device_configuration",
    "set_soft_device_placement",
    "set_visible_devices",
    "threading",
]


get_visible_devices = list_physical_devices


@checked
def set_visible_devices(devices: Any, device_type: str | None = None) -> None:
    """Has no effect."""
    LOGGER.info("tf.config.set_visible_devices has no effect: there is the CPU only.")


@checked
def set_logical_device_configuration(device: Any, logical_devices: Any) -> None:
    """Has no effect."""
    LOGGER.info("tf.config.set_logical_device_configuration has no effect: one process is one replica.")


@checked
def set_soft_device_placement(enabled: bool) -> None:
    """Has no effect."""


@checked
def run_functions_eagerly(run_eagerly: bool) -> None:
    """Has no effect: functions run as they are."""
