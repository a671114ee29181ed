"""Addresses at which other hosts can connect to this one.

A host's own name will not do: Debian's /etc/hosts says that it is 127.0.1.1, where every host finds itself. So the
kernel is asked which of its addresses it would use to reach another host: a UDP socket is connected, which sends
nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

_NOBODY = "192.0.2.1"
"""An address that no host has (RFC 5737): the way there is the default route."""


def address_of(name: str) -> str:
    """An IPv4 address of a name that is no loopback address; empty where it has none.

    Args:
        name: host name or address.
    """
    outside = (each for each in _addresses(name) if not each.is_loopback and each.version == 4)
    return str(next(outside, ""))


def is_loopback(name: str) -> bool:
    """Whether a name that this host knows means itself only, and nothing that others could connect to.

    Args:
        name: host name or address.
    """
    addresses = _addresses(name)
    return bool(addresses) and all(each.is_loopback for each in addresses)


def own_address(others: Iterable[str]) -> str:
    """This host's address for others to connect to; empty where it has none but loopback.

    Args:
        others: names and addresses of other hosts; the first that can be reached decides which network is meant.
    """
    for other in others:
        if (address := address_of(other)) and (found := address_towards(address)):
            return found
    return address_of(socket.gethostname()) or address_towards(_NOBODY)


def address_towards(address: str) -> str:
    """This host's own address on the way to another one; empty if there is no way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return ""
        found = str(probe.getsockname()[0])
    return "" if ipaddress.ip_address(found).is_loopback else found


def _addresses(name: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
