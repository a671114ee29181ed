"""Memory that is shared: by those who are told of it, and nothing else is ever mapped."""

import os
import tempfile

import numpy as np
import pytest
from conftest import missing

from distrib.host.shared_segment import SharedSegment, mapped

SIZE = 8192


@pytest.fixture
def segment():
    made = SharedSegment(SIZE)
    yield made
    made.close()


def test_what_one_writes_the_other_reads(segment):
    other = mapped(segment.address)
    other[5] = 9
    segment.memory[6] = 7
    assert (segment.memory[5], other[6], other.size) == (9, 7, SIZE)


def test_a_file_of_the_same_size_is_left_alone(segment):
    """As where a process of another host has the same number."""
    with tempfile.TemporaryFile() as file:
        file.write(bytes(SIZE))
        file.flush()
        with pytest.raises(OSError, match=r"expected /memfd:distrib-\w+ \(deleted\) at /proc"):
            mapped([os.getpid(), file.fileno(), SIZE, segment.address[3]])


def test_another_segment_of_the_same_size_is_left_alone(segment):
    other = SharedSegment(SIZE)
    with pytest.raises(OSError, match="expected /memfd:distrib-"):
        mapped([*other.address[:3], segment.address[3]])
    with pytest.raises(OSError, match=f"expected a segment of {SIZE + 1} bytes"):
        mapped([*segment.address[:2], SIZE + 1, segment.address[3]])
    other.close()


def test_a_closed_one_and_one_of_nobody_are_errors(segment):
    pid, descriptor, *rest = segment.address
    segment.close()
    for address in ([pid, descriptor, *rest], [1 << 22, 3, *rest]):
        with pytest.raises(OSError, match=r"No such file|expected"):
            mapped(address)


def test_one_of_another_user_is_left_alone(segment):
    if os.geteuid():
        missing("root")
    os.fchown(segment.address[1], 65534, -1)
    with pytest.raises(OSError, match=r"of user 0\. Received: 8192 bytes of user 65534"):
        mapped(segment.address)
    assert not np.any(segment.memory)
