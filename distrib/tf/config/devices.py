"""The devices that scripts ask for."""

from __future__ import annotations

from typing import NamedTuple

from distrib.base.arguments import checked


class PhysicalDevice(NamedTuple):
    """A device.

    Attributes:
        name: such as `"/physical_device:CPU:0"`.
        device_type: `"CPU"`.
    """

    name: str
    device_type: str


@checked
def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The CPU; no other device."""
    return [PhysicalDevice("/physical_device:CPU:0", "CPU")] if device_type in (None, "CPU") else []


@checked
def list_logical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The CPU; no other device."""
    return [PhysicalDevice("/device:CPU:0", "CPU")] if device_type in (None, "CPU") else []
