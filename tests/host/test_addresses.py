"""Which address is told to other hosts: never a loopback one, whatever the host's own name means to it."""

import socket

import pytest

from distrib.host import addresses

NAMES = {
    "debian": "127.0.1.1",
    "h2": "198.51.100.2",
    "h3": "198.51.100.3",
    "localhost": "::1 127.0.0.1",
    "both": "::1 198.51.100.4",
}


@pytest.fixture
def debian(monkeypatch):
    """A host that finds itself at 127.0.1.1; it reaches 198.51.100.* from .1, others from 203.0.113.1."""

    class Probe:
        def __init__(self, *kind):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def connect(self, where):
            if where[0] == "198.51.100.3":
                raise OSError("Network is unreachable")
            self.source = "198.51.100.1" if where[0].startswith("198.51.100.") else "203.0.113.1"

        def getsockname(self):
            return self.source, 4711

    def resolve(name, port, type):
        if name not in NAMES and not name[0].isdigit():
            raise socket.gaierror(f"{name}: Name or service not known")
        return [(socket.AF_INET, type, 0, "", (each, 0)) for each in NAMES.get(name, name).split()]

    monkeypatch.setattr(socket, "gethostname", lambda: "debian")
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "socket", Probe)


@pytest.mark.parametrize(
    ("others", "found"),
    [
        (["h2"], "198.51.100.1"),
        (["198.51.100.2"], "198.51.100.1"),
        (["nobody", "localhost", "h3", "h2"], "198.51.100.1"),
        (["nobody"], "203.0.113.1"),
        ([], "203.0.113.1"),
    ],
)
def test_it_is_that_of_the_network_towards_the_others(debian, others, found):
    assert addresses.own_address(others) == found


def test_a_name_that_means_this_host_only_to_itself(debian):
    assert [addresses.is_loopback(name) for name in ("debian", "localhost", "h2", "both", "nobody")] == [
        *(True, True, False, False, False)
    ]
    assert [addresses.address_of(name) for name in ("debian", "h2", "both", "nobody")] == [
        *("", "198.51.100.2", "198.51.100.4", "")
    ]


def test_without_a_network_there_is_none(debian, monkeypatch):
    monkeypatch.setattr(addresses, "address_towards", lambda _: "")
    assert addresses.own_address(["h2"]) == ""


def test_the_kernel_says_no_loopback_address():
    assert addresses.address_towards("127.0.0.1") == ""
